// Replaces src/gen/descriptor_set.ts: the product's files and echo.proto.
import { descriptorSet as product } from '../../src/gen/descriptor_set.ts';
import { descriptorSet as echo } from './gen/descriptor_set.ts';

/** Two messages of one type, one behind the other, are the same as one with the fields of both. */
export const descriptorSet = Buffer.concat(
  [product, echo].map((each) => Buffer.from(each, 'base64')),
).toString('base64');
