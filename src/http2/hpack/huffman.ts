import { HpackError } from './hpack_error.ts';
import { huffmanMachine } from './huffman_machine.ts';
import { huffmanCodes, huffmanLengths } from './huffman_table.ts';
import { type BlockReader, type BlockWriter, octetAt } from './octets.ts';

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
  if (found === undefined) throw new RangeError('Cannot encode a header: one octet a character');
  return found;
}
