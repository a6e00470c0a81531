import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { CompatServiceDefinition } from 'nice-grpc';
import { encodeFramed, prefixLength, withPrefix } from '../grpc/methods.ts';

/** What ts-proto makes of a message; see src/gen. */
interface OwnType {
  encode(message: unknown, writer: BinaryWriter): BinaryWriter;
}

/**
 * A service of src/gen whose responses are all written by one writer: a new one for each would be a
 * quarter of what a call costs. An engine calls `encode(message)` alone, as a foreign definition may know
 * no writer, or another kind; that ours take this one, give it back and keep nothing of it, we know.
 */
export function withOwnCodec<Definition extends CompatServiceDefinition>(
  definition: Definition,
): Definition {
  if (!isOwn(definition)) return definition;
  const methods = Object.entries(definition.methods).map(([key, method]) => [
    key,
    { ...method, responseType: reusing(method.responseType) },
  ]);
  return { ...definition, methods: Object.fromEntries(methods) };
}

/** Whether it is of ts-proto: so are all in src/gen. */
function isOwn<Definition extends object>(
  definition: Definition,
): definition is Definition & { methods: Record<string, { responseType: OwnType }> } {
  return 'fullName' in definition && 'methods' in definition;
}

function reusing(type: OwnType): object {
  return {
    ...type,
    encode: (message: unknown) => new Encoded(write(type, message).subarray(prefixLength)),
    [encodeFramed]: (message: unknown) => write(type, message),
  };
}

let spare: BinaryWriter | undefined = new BinaryWriter();

/** Gives the message behind the room for its prefix. Who is called meanwhile, or fails with half a message written, does not share the writer. */
function write(type: OwnType, message: unknown): Uint8Array {
  const writer = spare ?? new BinaryWriter();
  spare = undefined;
  for (let i = 0; i < prefixLength; i++) writer.uint32(0);
  const written = type.encode(message, writer);
  if (written !== writer) return withPrefix(written.finish());
  const framed = writer.finish();
  spare = writer;
  return framed;
}

class Encoded {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  finish(): Uint8Array {
    return this.#bytes;
  }
}
