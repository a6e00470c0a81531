import { type BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import type { CompatServiceDefinition } from 'nice-grpc';
import {
  decodeCounted,
  encodeFramed,
  type MessageRoom,
  prefixLength,
  withPrefix,
} from '../engine/index.ts';
import { CountingReader, viewOf } from './counting_reader.ts';

/** What ts-proto makes of a message; see src/gen. */
interface OwnType {
  decode(reader: BinaryReader): unknown;
  encode(message: unknown, writer: BinaryWriter): BinaryWriter;
}

/**
 * A service of src/gen whose requests are read by a CountingReader, and whose responses are all written by
 * one writer: a new one for each would be a quarter of what a call costs. An engine calls `decode(bytes)`
 * and `encode(message)` alone, as a foreign definition may know no reader or writer, or another kind; that
 * ours take these, and keep nothing of them, we know.
 */
export function withOwnCodec<Definition extends CompatServiceDefinition>(
  definition: Definition,
): Definition {
  if (!isOwn(definition)) return definition;
  const methods = Object.entries(definition.methods).map(([key, method]) => [
    key,
    {
      ...method,
      requestType: counting(method.requestType),
      responseType: reusing(method.responseType),
    },
  ]);
  return { ...definition, methods: Object.fromEntries(methods) };
}

/** Whether it is of ts-proto: so are all in src/gen. */
function isOwn<Definition extends object>(
  definition: Definition,
): definition is Definition & {
  methods: Record<string, { requestType: OwnType; responseType: OwnType }>;
} {
  return 'fullName' in definition && 'methods' in definition;
}

/** What grpc-js has any message become, beside twice what it was, as it does not say what it has room for. */
const mostAnywhere = 8 * 1024 * 1024;

function counting(type: OwnType): object {
  const decode = (bytes: Uint8Array) =>
    type.decode(new CountingReader(viewOf(bytes), mostAnywhere + 2 * bytes.length));
  return {
    ...type,
    decode,
    [decodeCounted](bytes: Uint8Array, room?: MessageRoom) {
      if (!room) return decode(bytes);
      const reader = new CountingReader(viewOf(bytes), room.most);
      // ts-proto copies what it has of bytes.
      room.isCopied = true;
      try {
        const message = type.decode(reader);
        room.take(reader.spent);
        return message;
      } finally {
        room.spend(reader.work);
      }
    },
  };
}

function reusing(type: OwnType): object {
  return {
    ...type,
    encode: (message: unknown) => new Encoded(write(type, message).subarray(prefixLength)),
    [encodeFramed]: (message: unknown) => write(type, message),
  };
}

let spare: BinaryWriter | undefined = new BinaryWriter();
/** A writer never gives back what it has taken: after a longer message it is not used again. */
const mostSpare = 64 * 1024;

/** Gives the message behind the room for its prefix. Who is called meanwhile, or fails with half a message written, does not share the writer. */
function write(type: OwnType, message: unknown): Uint8Array {
  const writer = spare ?? new BinaryWriter();
  spare = undefined;
  for (let i = 0; i < prefixLength; i++) writer.uint32(0);
  const written = type.encode(message, writer);
  if (written !== writer) return withPrefix(written.finish());
  const framed = writer.finish();
  spare = framed.length > mostSpare ? new BinaryWriter() : writer;
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
