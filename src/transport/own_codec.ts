import { BinaryReader, BinaryWriter, type WireType } from '@bufbuild/protobuf/wire';
import type { CompatServiceDefinition } from 'nice-grpc';
import { isUtf8 } from 'node:buffer';
import {
  decodeCounted,
  encodeFramed,
  type MessageRoom,
  type Work,
  prefixLength,
  withPrefix,
  BecomesTooMuch,
} from '../engine/index.ts';
import { broken } from '../engine/errors.ts';

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
const maxUncounted = 8 * 1024 * 1024;

function counting(type: OwnType): object {
  const decode = (bytes: Uint8Array) =>
    type.decode(new CountingReader(viewOf(bytes), maxUncounted + 2 * bytes.length));
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
    [encodeFramed]: (message: unknown, work?: Work) => write(type, message, work),
  };
}

/** Counts the messages in a message: each takes as long as hundreds of bytes. */
class CountingWriter extends BinaryWriter {
  joined = 0;

  override join(): this {
    this.joined++;
    return super.join();
  }
}

let spare: CountingWriter | undefined = new CountingWriter();
/** A writer never gives back what it has taken: after a longer message it is not used again. */
const maxSpare = 64 * 1024;

/** Gives the message behind the room for its prefix. Who is called meanwhile, or fails with half a message written, does not share the writer. */
function write(type: OwnType, message: unknown, work?: Work): Uint8Array {
  const writer = spare ?? new CountingWriter();
  spare = undefined;
  writer.joined = 0;
  for (let i = 0; i < prefixLength; i++) writer.uint32(0);
  const written = type.encode(message, writer);
  if (written !== writer) return withPrefix(written.finish());
  const framed = writer.finish();
  if (writer.joined > 0) work?.spend(writer.joined >> 1);
  spare = framed.length > maxSpare ? new CountingWriter() : writer;
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

/**
 * What a tag or a length counts for, in bytes: two of them make an object or a string, of some 64 bytes, and
 * its place in an array. A uint32 is read as they are, and counts as much.
 */
const tagCost = 40;
/** The same of any other number: a place in an array, which has half as many to spare while it grows. */
const numberCost = 12;
/** As far as this the library makes strings of ASCII itself, the fastest way; they are within what is counted. */
const shortString = 16;
/** Strings of more bytes are looked at before they are made. */
const longString = 1024;
/** Groups in groups, as the library has it. */
const deepest = 100;

/** What is skipped may be as many as if each took so many bytes. */
const skippedCost = 32;

const nothing = new Uint8Array(0);
/** The library has it as a member of each reader. */
const { uint32: readUint32 } = new BinaryReader(nothing);

/**
 * Reads a message for the code of src/gen, which hands one reader down to all that the message has in it.
 * It throws an INTERNAL for strings that are not UTF-8, as the specification wants it (a byte that is none
 * would come out as three), and a BecomesTooMuch as soon as the message takes more than `most` bytes.
 */
export class CountingReader extends BinaryReader {
  readonly #bytes: Buffer;
  readonly #most: number;
  #skipped = 0;
  /** Bytes that the message takes in memory, so far. */
  spent = 0;

  constructor(bytes: Buffer, most: number) {
    super(bytes, decodeUtf8);
    this.#bytes = bytes;
    this.#most = most;
    this.uint32 = readCounted;
  }

  /** What it has cost to read so far, in units of engine/scheduler.ts: a quarter of a microsecond or so. */
  get work(): number {
    return (this.spent >> 6) + (this.#skipped >> 1);
  }

  /** Throws if that is too much. */
  spend(bytes: number): void {
    this.spent += bytes;
    if (this.spent > this.#most) throw new BecomesTooMuch(this.#most);
  }

  override string(): string {
    // A length above 127 begins with such a byte, too.
    if ((this.#bytes[this.pos] ?? 0) <= shortString) return super.string();
    const length = this.uint32();
    const start = this.pos;
    this.#advance(length);
    // To put something in for each byte that is none would take ten times as long as to look for one.
    if (length > longString) check(this.#bytes.subarray(start, this.pos));
    const text = this.#bytes.toString('utf8', start, this.pos);
    if (length <= longString && !isWhole(text)) check(this.#bytes.subarray(start, this.pos));
    // V8 has two bytes for each character where one is beyond Latin-1.
    this.spend(text.length === length ? length : 2 * text.length);
    return text;
  }

  override int32(): number {
    this.spend(numberCost);
    return readUint32.call(this) | 0;
  }

  override int64(): bigint | string {
    this.spend(numberCost);
    return super.int64();
  }

  override uint64(): bigint | string {
    this.spend(numberCost);
    return super.uint64();
  }

  override bool(): boolean {
    this.spend(numberCost);
    return super.bool();
  }

  override double(): number {
    this.spend(numberCost);
    return super.double();
  }

  override bytes(): Uint8Array {
    const start = this.pos;
    const bytes = super.bytes();
    this.spend(this.pos - start);
    return bytes;
  }

  /** Nobody asks for what is skipped, and to make a view of each field would take longer than all else. */
  override skip(wireType: WireType, fieldNo?: number): Uint8Array {
    // Its tag has become nothing.
    this.spent -= tagCost;
    this.#countSkipped();
    this.#skip(wireType, fieldNo, deepest);
    return nothing;
  }

  #skip(wireType: number, fieldNo: number | undefined, depth: number): void {
    switch (wireType) {
      case 0:
        while ((this.#bytes[this.pos] ?? 0) >= 0x80) this.pos++;
        return this.#advance(1);
      case 1:
        return this.#advance(8);
      case 2:
        return this.#advance(readUint32.call(this));
      case 3:
        return this.#skipGroup(fieldNo, depth);
      case 5:
        return this.#advance(4);
      default:
        throw new Error(`Cannot skip the wire type ${wireType}`);
    }
  }

  #skipGroup(fieldNo: number | undefined, depth: number): void {
    if (depth === 0) throw new Error(`Cannot skip groups that are more than ${deepest} deep`);
    while (true) {
      this.#countSkipped();
      const tag = readUint32.call(this);
      const [field, wireType] = [tag >>> 3, tag & 7];
      if (field === 0) throw new Error('Cannot skip a field with the number 0');
      if (wireType === endGroup) {
        if (fieldNo === undefined || fieldNo === field) return;
        throw new Error('Cannot skip a group that ends as another');
      }
      this.#skip(wireType, field, depth - 1);
    }
  }

  /** They take no memory, but as much time as others, and may be of one byte each. */
  #countSkipped(): void {
    if (++this.#skipped > this.#most / skippedCost) throw new BecomesTooMuch(this.#most);
  }

  #advance(bytes: number): void {
    this.pos += bytes;
    if (this.pos > this.len) throw new RangeError('Cannot read beyond the end');
  }
}

const endGroup = 4;

/** Its own member of each reader, in place of the library's. */
function readCounted(this: CountingReader): number {
  this.spend(tagCost);
  return readUint32.call(this);
}

function decodeUtf8(bytes: Uint8Array): string {
  const text = viewOf(bytes).toString('utf8');
  if (!isWhole(text)) check(bytes);
  return text;
}

/** Whether nothing can have been put in for bytes that are not UTF-8. */
function isWhole(text: string): boolean {
  return !text.includes('\uFFFD');
}

/** The caller may have sent that character. */
function check(bytes: Uint8Array): void {
  if (!isUtf8(bytes)) throw broken('a message with a string that is not UTF-8');
}

/** The same bytes, as Buffer has them. */
function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
