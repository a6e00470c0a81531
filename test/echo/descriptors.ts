import { createFileRegistry, type FileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptors } from '../../src/services/descriptors.ts';
import { descriptorSet } from './gen/descriptor_set.ts';

/** The descriptors of the product's files and of echo.proto. */
export function allDescriptors(): FileRegistry {
  const echo = fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, 'base64'));
  return createFileRegistry(descriptors(), createFileRegistry(echo));
}
