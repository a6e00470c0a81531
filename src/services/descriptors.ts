import { createFileRegistry, type FileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptorSet } from '../gen/descriptor_set.ts';

let all: FileRegistry | undefined;

/** The descriptors of all files in proto/, decoded when first needed. */
export function descriptors(): FileRegistry {
  all ??= createFileRegistry(
    fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, 'base64')),
  );
  return all;
}
