import { createFileRegistry, type FileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptorSet } from '../gen/descriptor_set.ts';

let all: FileRegistry | undefined;

/** All that proto/ declares, read by whoever asks first. */
export function descriptors(): FileRegistry {
  all ??= createFileRegistry(
    fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, 'base64')),
  );
  return all;
}
