import { BinaryReader, BinaryWriter, type WireType } from '@bufbuild/protobuf/wire';
import type { CompatServiceDefinition } from 'nice-grpc';
import { isUtf8 } from 'node:buffer';
import {
  decodeCounted,
  encodeFramed,
  type MessageMemory,
  type Work,
  prefixLength,
  withPrefix,
  BecomesTooMuch,
} from '../engine/index.ts';
import { malformed } from '../engine/errors.ts';

/** A message type of ts-proto; see src/gen. */
interface OwnType {
  decode(reader: BinaryReader): unknown;
  encode(message: unknown, writer: BinaryWriter): BinaryWriter;
}

/**
 * Wraps a service of src/gen so that a CountingReader decodes its requests and one shared writer encodes its
 * responses: a new writer for each would be a quarter of a call's cost. Engines call `decode(bytes)` and
 * `encode(message)` without a reader or writer, as other generators may not have them; the types of src/gen accept
 * these and keep no reference.
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

/** True for types of ts-proto, as all in src/gen are. */
function isOwn<Definition extends object>(
  definition: Definition,
): definition is Definition & {
  methods: Record<string, { requestType: OwnType; responseType: OwnType }>;
} {
  return 'fullName' in definition && 'methods' in definition;
}

/** The maximum growth of a decoded message with grpc-js, beyond twice its size, as grpc-js does not limit memory. */
const maxUncounted = 8 * 1024 * 1024;

function counting(type: OwnType): object {
  const decode = (bytes: Uint8Array) =>
    type.decode(new CountingReader(viewOf(bytes), maxUncounted + 2 * bytes.length));
  return {
    ...type,
    decode,
    [decodeCounted](bytes: Uint8Array, memory?: MessageMemory) {
      if (!memory) return decode(bytes);
      const reader = new CountingReader(viewOf(bytes), memory.max);
      // ts-proto copies bytes fields.
      memory.isCopied = true;
      try {
        const message = type.decode(reader);
        memory.take(reader.spent);
        return message;
      } finally {
        memory.spend(reader.work);
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

/** Counts nested messages: each takes as long as hundreds of bytes. */
class CountingWriter extends BinaryWriter {
  joined = 0;

  override join(): this {
    this.joined++;
    return super.join();
  }
}

let spare: CountingWriter | undefined = new CountingWriter();
/** A writer never shrinks, so it is replaced after a longer message. */
const maxSpare = 64 * 1024;

/**
 * Encodes a message with free octets for the prefix. A nested call, or one after an error in the middle of a message,
 * gets another writer.
 */
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
 * The charge of a tag or length, in bytes: two of them make an object or string of about 64 bytes, and its slot in an
 * array. A uint32 is read in the same way and charged as much.
 */
const tagCost = 40;
/** The charge of any other number: a slot in an array, which over-allocates by half as it grows. */
const numberCost = 12;
/** Shorter strings are decoded by the library, the fastest way for ASCII; they are within the charge of a tag. */
const shortString = 16;
/** Longer strings are validated before they are decoded. */
const longString = 1024;
/** The maximum nesting of groups, as in the library. */
const deepest = 100;

/** The charge of a skipped field, in bytes. */
const skippedCost = 32;

const nothing = new Uint8Array(0);
/** The library defines it as an own property of each reader. */
const { uint32: readUint32 } = new BinaryReader(nothing);

/**
 * Decodes a message for the code of src/gen, which passes one reader to all nested messages. It throws INTERNAL for
 * strings that are not UTF-8, as the specification requires (each invalid byte would become three), and
 * BecomesTooMuch as soon as the message takes more than `maxBytes` bytes.
 */
export class CountingReader extends BinaryReader {
  readonly #bytes: Buffer;
  readonly #maxBytes: number;
  #skipped = 0;
  /** The memory that the message takes so far, in bytes. */
  spent = 0;

  constructor(bytes: Buffer, maxBytes: number) {
    super(bytes, decodeUtf8);
    this.#bytes = bytes;
    this.#maxBytes = maxBytes;
    this.uint32 = readCounted;
  }

  /** The work so far, in units of engine/scheduler.ts: about a quarter of a microsecond. */
  get work(): number {
    return (this.spent >> 6) + (this.#skipped >> 1);
  }

  /** Throws if the limit is exceeded. */
  spend(bytes: number): void {
    this.spent += bytes;
    if (this.spent > this.#maxBytes) throw new BecomesTooMuch(this.#maxBytes);
  }

  override string(): string {
    // The first byte of a length above 127 exceeds it as well.
    if ((this.#bytes[this.pos] ?? 0) <= shortString) return super.string();
    const length = this.uint32();
    const start = this.pos;
    this.#advance(length);
    // Checked first, as replacing each invalid byte takes ten times as long.
    if (length > longString) check(this.#bytes.subarray(start, this.pos));
    const text = this.#bytes.toString('utf8', start, this.pos);
    if (length <= longString && !isWhole(text)) check(this.#bytes.subarray(start, this.pos));
    // V8 uses two bytes per character if one is outside of Latin-1.
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

  /** Skipped fields are not used, and creating a view of each would take longer than the rest. */
  override skip(wireType: WireType, fieldNo?: number): Uint8Array {
    // Its tag creates nothing.
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

  /** They take no memory but time, and may be one byte each. */
  #countSkipped(): void {
    if (++this.#skipped > this.#maxBytes / skippedCost) throw new BecomesTooMuch(this.#maxBytes);
  }

  #advance(bytes: number): void {
    this.pos += bytes;
    if (this.pos > this.len) throw new RangeError('Cannot read beyond the end');
  }
}

const endGroup = 4;

/** Set as an own property of each reader, in place of the library's. */
function readCounted(this: CountingReader): number {
  this.spend(tagCost);
  return readUint32.call(this);
}

function decodeUtf8(bytes: Uint8Array): string {
  const text = viewOf(bytes).toString('utf8');
  if (!isWhole(text)) check(bytes);
  return text;
}

/** True if the text contains no replacement character. */
function isWhole(text: string): boolean {
  return !text.includes('\uFFFD');
}

/** The caller may have sent the replacement character itself. */
function check(bytes: Uint8Array): void {
  if (!isUtf8(bytes)) throw malformed('a message with a string that is not UTF-8');
}

/** A Buffer view of the same bytes. */
function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
