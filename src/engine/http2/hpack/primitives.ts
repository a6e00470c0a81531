import { huffmanMachine } from './huffman_machine.ts';
import { huffmanCodes, huffmanLengths } from './huffman_table.ts';

/** What no later header block survives: a connection error COMPRESSION_ERROR (RFC 9113 section 4.3). */
export class HpackError extends Error {
  /** It is right so far, and more than we decode: ENHANCE_YOUR_CALM. */
  readonly isExcess: boolean;

  constructor(rule: string, { isExcess = false } = {}) {
    super(`Cannot decode a header block: ${rule}`);
    this.name = 'HpackError';
    this.isExcess = isExcess;
  }
}

/** A header block that is read from front to back. */
export class BlockReader {
  readonly bytes: Buffer;
  /** Where the next octet is. */
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  /** The next octet, which stays the next one. Throws a HpackError at the end. */
  peek(): number {
    return octetAt(this.bytes, this.at);
  }

  /** Throws a HpackError at the end. */
  next(): number {
    return octetAt(this.bytes, this.at++);
  }

  /** Goes past `length` octets, and gives where they begin. Throws a HpackError if there are fewer. */
  skip(length: number): number {
    const from = this.at;
    this.at += length;
    if (this.at > this.bytes.length) throw tooShort();
    return from;
  }
}

/** A header block that is written from front to back, with room for all of it from the start. */
export class BlockWriter {
  readonly bytes: Buffer;
  /** Where the next octet goes. */
  at = 0;

  constructor(room: number) {
    this.bytes = Buffer.allocUnsafe(room);
  }

  /** Keeps the low eight bits of the octet. */
  push(octet: number): void {
    this.bytes[this.at++] = octet;
  }

  append(octets: Uint8Array): void {
    // They are few, and a call of set() costs more than to copy them.
    for (const octet of octets) this.bytes[this.at++] = octet;
  }

  written(): Buffer {
    return this.bytes.subarray(0, this.at);
  }
}

/** The check that TypeScript asks for is the check for the end. Throws a HpackError there. */
function octetAt(bytes: Uint8Array, at: number): number {
  const octet = bytes[at];
  if (octet === undefined) throw tooShort();
  return octet;
}

function tooShort(): HpackError {
  return new HpackError('it ends in the middle of a field');
}

/** How an octet begins: the bits of `mask` hold the beginning of an integer, those above it are `pattern`. */
export interface Prefix {
  readonly pattern: number;
  readonly mask: number;
}

/** The binary representations of a header field (RFC 7541 section 6). */
export const representation = {
  /** Section 6.1. */
  indexed: { pattern: 0x80, mask: 0x7f },
  /** Section 6.2.1. */
  withIncrementalIndexing: { pattern: 0x40, mask: 0x3f },
  /** Section 6.3. */
  sizeUpdate: { pattern: 0x20, mask: 0x1f },
  /** Section 6.2.3. */
  neverIndexed: { pattern: 0x10, mask: 0x0f },
  /** Section 6.2.2. */
  withoutIndexing: { pattern: 0x00, mask: 0x0f },
} as const;

/** The binary representations of a string (RFC 7541 section 5.2). */
export const stringRepresentation = {
  huffman: { pattern: 0x80, mask: 0x7f },
  plain: { pattern: 0x00, mask: 0x7f },
} as const;

/** RFC 7541 section 5.1 leaves the limit to us; nothing that is counted here comes near it. */
const largestInteger = 2 ** 31 - 1;
/** Of the fifth octet after the prefix: an integer up to `largestInteger` needs no sixth one. */
const lastFactor = 128 ** 4;

/** The most octets that writeInteger() writes. */
export const mostIntegerOctets = 6;

/**
 * Reads an integer that begins in the next octet's bits of `mask` (RFC 7541 section 5.1). Throws a
 * HpackError above 2^31 - 1, and after six octets whatever they hold.
 */
export function readInteger(reader: BlockReader, mask: number): number {
  const start = reader.next() & mask;
  if (start < mask) return start;
  let value = mask;
  for (let factor = 1; factor <= lastFactor; factor *= 128) {
    const octet = reader.next();
    value += (octet & 0x7f) * factor;
    if (octet < 0x80 && value <= largestInteger) return value;
    if (octet < 0x80) break;
  }
  throw new HpackError(
    `an integer is at most ${largestInteger}, in at most ${mostIntegerOctets} octets`,
  );
}

/** Writes an integer of 0 to 2^31 - 1 behind the pattern (RFC 7541 section 5.1). */
export function writeInteger(writer: BlockWriter, value: number, { pattern, mask }: Prefix): void {
  if (value < mask) return writer.push(pattern | value);
  writer.push(pattern | mask);
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) writer.push(0x80 | (rest & 0x7f));
  writer.push(rest);
}

/** The shortest code has 5 bits. */
const mostSymbolsPerOctet = 8 / 5;
/** What is decoded goes here before it is a string; longer strings get a buffer of their own. */
const scratch = Buffer.allocUnsafeSlow(8192);

/**
 * Reads a string out of the next `length` octets (RFC 7541 section 5.2). Throws a HpackError if they
 * hold the end of a string, or padding that is 8 bits or more, or not the beginning of that end.
 */
export function readHuffman(reader: BlockReader, length: number): string {
  const { bytes } = reader;
  const from = reader.skip(length);
  const { transitions, accepting } = huffmanMachine();
  const room = Math.ceil(length * mostSymbolsPerOctet);
  const text = room <= scratch.length ? scratch : Buffer.allocUnsafeSlow(room);
  let end = 0;
  let state = 0;
  for (let at = from; at < reader.at; at++) {
    const step = transitions[(state << 8) | octetAt(bytes, at)];
    if (!step) throw new HpackError('the end of a string may not be in it');
    // Both are written even if there are fewer: `end` stays before what was none.
    text[end] = step >>> 16;
    text[end + 1] = step >>> 24;
    end += (step >>> 8) & 0xff;
    state = step & 0xff;
  }
  if (accepting[state] !== 1) {
    throw new HpackError('the padding of a string is less than 8 bits, all of them 1');
  }
  return text.toString('latin1', 0, end);
}

/** How many octets writeHuffman() writes. Throws a RangeError for a character above U+00FF. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let at = 0; at < text.length; at++) bits += lookUp(huffmanLengths, text.charCodeAt(at));
  return (bits + 7) >>> 3;
}

/** Writes a string, one octet a character (RFC 7541 section 5.2). */
export function writeHuffman(writer: BlockWriter, text: string): void {
  const { bytes } = writer;
  let end = writer.at;
  // The bits that no octet was made of yet are the low `count` ones; an octet keeps its low eight.
  let bits = 0;
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const symbol = text.charCodeAt(at);
    const code = lookUp(huffmanCodes, symbol);
    let length = lookUp(huffmanLengths, symbol);
    // 7 bits and a code of 30 are more than a number's 32: such a code goes in two parts.
    if (length > 24) {
      length -= 8;
      bits = (bits << length) | (code >>> 8);
      for (count += length; count >= 8;) bytes[end++] = bits >>> (count -= 8);
      length = 8;
    }
    bits = (bits << length) | (length === 8 ? code & 0xff : code);
    for (count += length; count >= 8;) bytes[end++] = bits >>> (count -= 8);
  }
  if (count > 0) bytes[end++] = (bits << (8 - count)) | (0xff >>> count);
  writer.at = end;
}

function lookUp(table: Uint32Array, octet: number): number {
  const found = octet <= 0xff ? table[octet] : undefined;
  if (found === undefined) throw noOctet();
  return found;
}

function noOctet(): RangeError {
  return new RangeError('Cannot encode a header: one octet a character');
}

const { huffman, plain } = stringRepresentation;

/** Reads a string of one character an octet (RFC 7541 section 5.2). Throws a HpackError. */
export function readString(reader: BlockReader): string {
  const isHuffman = reader.peek() >= huffman.pattern;
  const length = readInteger(reader, plain.mask);
  if (isHuffman) return readHuffman(reader, length);
  const from = reader.skip(length);
  return reader.bytes.toString('latin1', from, reader.at);
}

/** Shorter strings go without the Huffman code: it would save some octets, and cost more time than all else of a header. */
const leastHuffman = 64;

/**
 * Writes a string of one octet a character, a long one with the Huffman code if that is shorter (RFC 7541
 * section 5.2). Throws a RangeError for a character above U+00FF.
 */
export function writeString(writer: BlockWriter, text: string): void {
  if (text.length >= leastHuffman) {
    const length = huffmanLength(text);
    if (length < text.length) {
      writeInteger(writer, length, huffman);
      return writeHuffman(writer, text);
    }
  }
  writeInteger(writer, text.length, plain);
  const { bytes, at: start } = writer;
  for (let at = 0; at < text.length; at++) {
    const octet = text.charCodeAt(at);
    if (octet > 0xff) throw noOctet();
    bytes[start + at] = octet;
  }
  writer.at = start + text.length;
}
