import { huffmanMachine } from './huffman_machine.ts';
import { huffmanCodes, huffmanLengths } from './huffman_table.ts';

/**
 * A decoding error, after which the context is unusable: a connection error of type COMPRESSION_ERROR (RFC 9113
 * section 4.3).
 */
export class HpackError extends Error {
  /** True if the block is valid but exceeds the limits: ENHANCE_YOUR_CALM. */
  readonly isExcess: boolean;

  constructor(rule: string, { isExcess = false } = {}) {
    super(`Cannot decode a header block: ${rule}`);
    this.name = 'HpackError';
    this.isExcess = isExcess;
  }
}

/** Reads a header block from front to back. */
export class BlockReader {
  readonly bytes: Buffer;
  /** The offset of the next octet. */
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  /** Returns the next octet without consuming it. Throws an HpackError at the end. */
  peek(): number {
    return octetAt(this.bytes, this.at);
  }

  /** Throws an HpackError at the end. */
  next(): number {
    return octetAt(this.bytes, this.at++);
  }

  /** Skips `length` octets; returns their offset. Throws an HpackError if there are fewer. */
  skip(length: number): number {
    const from = this.at;
    this.at += length;
    if (this.at > this.bytes.length) throw tooShort();
    return from;
  }
}

/** Writes a header block into a buffer of sufficient size. */
export class BlockWriter {
  readonly bytes: Buffer;
  /** The offset of the next octet. */
  at = 0;

  constructor(room: number) {
    this.bytes = Buffer.allocUnsafe(room);
  }

  /** Appends the low eight bits. */
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

/** Throws an HpackError at the end of the block. */
function octetAt(bytes: Uint8Array, at: number): number {
  const octet = bytes[at];
  if (octet === undefined) throw tooShort();
  return octet;
}

function tooShort(): HpackError {
  return new HpackError('it ends in the middle of a field');
}

/** The first octet of a representation: the bits of `mask` start an integer, the bits above are `pattern`. */
export interface Prefix {
  readonly pattern: number;
  readonly mask: number;
}

/** The representations of a header field (RFC 7541 section 6). */
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

/** The representations of a string literal (RFC 7541 section 5.2). */
export const stringRepresentation = {
  huffman: { pattern: 0x80, mask: 0x7f },
  plain: { pattern: 0x00, mask: 0x7f },
} as const;

/** RFC 7541 section 5.1 lets implementations limit integers. */
const largestInteger = 2 ** 31 - 1;
/** The factor of the fifth octet after the prefix; `largestInteger` needs no sixth one. */
const lastFactor = 128 ** 4;

/** The maximum number of octets that writeInteger() writes. */
export const maxIntegerOctets = 6;

/**
 * Reads an integer whose prefix is the `mask` bits of the next octet (RFC 7541 section 5.1). Throws an HpackError
 * above 2^31 - 1, and after six octets in any case.
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
    `an integer is at most ${largestInteger}, in at most ${maxIntegerOctets} octets`,
  );
}

/** Writes an integer from 0 to 2^31 - 1 with a prefix (RFC 7541 section 5.1). */
export function writeInteger(writer: BlockWriter, value: number, { pattern, mask }: Prefix): void {
  if (value < mask) return writer.push(pattern | value);
  writer.push(pattern | mask);
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) writer.push(0x80 | (rest & 0x7f));
  writer.push(rest);
}

/** The shortest code has 5 bits. */
const maxSymbolsPerOctet = 8 / 5;
/** The buffer for decoding; longer strings get their own. */
const scratch = Buffer.allocUnsafeSlow(8192);

/**
 * Decodes a Huffman-coded string of `length` octets (RFC 7541 section 5.2). Throws an HpackError for the
 * end-of-string symbol and for invalid padding.
 */
export function readHuffman(reader: BlockReader, length: number): string {
  const { bytes } = reader;
  const from = reader.skip(length);
  const { transitions, accepting } = huffmanMachine();
  const room = Math.ceil(length * maxSymbolsPerOctet);
  const text = room <= scratch.length ? scratch : Buffer.allocUnsafeSlow(room);
  let end = 0;
  let state = 0;
  for (let at = from; at < reader.at; at++) {
    const step = transitions[(state << 8) | octetAt(bytes, at)];
    if (!step) throw new HpackError('the end of a string may not be in it');
    // Always writes two symbols; `end` only advances by the completed ones.
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

/** The number of octets that writeHuffman() writes. Throws a RangeError for a character above U+00FF. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let at = 0; at < text.length; at++) bits += lookUp(huffmanLengths, text.charCodeAt(at));
  return (bits + 7) >>> 3;
}

/** Writes a Huffman-coded string, one octet per character (RFC 7541 section 5.2). */
export function writeHuffman(writer: BlockWriter, text: string): void {
  const { bytes } = writer;
  let end = writer.at;
  // The low `count` bits are pending; push() takes the low eight of what it is given.
  let bits = 0;
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const symbol = text.charCodeAt(at);
    const code = lookUp(huffmanCodes, symbol);
    let length = lookUp(huffmanLengths, symbol);
    // 7 pending bits and a code of 30 exceed 32 bits, so such a code is added in two parts.
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

/** Reads a string literal, one character per octet (RFC 7541 section 5.2). Throws an HpackError. */
export function readString(reader: BlockReader): string {
  const isHuffman = reader.peek() >= huffman.pattern;
  const length = readInteger(reader, plain.mask);
  if (isHuffman) return readHuffman(reader, length);
  const from = reader.skip(length);
  return reader.bytes.toString('latin1', from, reader.at);
}

/** Shorter strings are not Huffman-coded: that would save a few octets, and take longer than the rest of a header. */
const minHuffmanLength = 64;

/**
 * Writes a string literal, a long one with Huffman coding if that is shorter (RFC 7541 section 5.2). Throws a
 * RangeError for a character above U+00FF.
 */
export function writeString(writer: BlockWriter, text: string): void {
  if (text.length >= minHuffmanLength) {
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
