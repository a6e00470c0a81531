import { createFileRegistry, type FileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptorSet } from './descriptor_set.ts';

/** The descriptors of the product's files and of echo.proto. */
export function allDescriptors(): FileRegistry {
  return createFileRegistry(
    fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, 'base64')),
  );
}
