import { huffmanLength, readHuffman, writeHuffman } from './huffman.ts';
import { readInteger, writeInteger } from './integer.ts';
import type { BlockReader, BlockWriter } from './octets.ts';
import { stringRepresentation } from './representation.ts';

const { huffman, plain } = stringRepresentation;

/** Reads a string of one character an octet (RFC 7541 section 5.2). Throws a HpackError. */
export function readString(reader: BlockReader): string {
  const isHuffman = reader.peek() >= huffman.pattern;
  const length = readInteger(reader, plain.mask);
  if (isHuffman) return readHuffman(reader, length);
  const from = reader.skip(length);
  return reader.bytes.toString('latin1', from, reader.at);
}

/**
 * Writes a string of one octet a character, with the Huffman code if that is shorter (RFC 7541
 * section 5.2). Throws a RangeError for a character above U+00FF.
 */
export function writeString(writer: BlockWriter, text: string): void {
  const length = huffmanLength(text);
  if (length < text.length) {
    writeInteger(writer, length, huffman);
    writeHuffman(writer, text);
  } else {
    writeInteger(writer, text.length, plain);
    writer.at += writer.bytes.write(text, writer.at, 'latin1');
  }
}
