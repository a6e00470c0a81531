import type { DynamicTable } from '../../src/engine/http2/hpack/decoder.ts';
import {
  BlockWriter,
  type Prefix,
  representation,
  stringRepresentation,
  writeHuffman,
  writeInteger,
} from '../../src/engine/http2/hpack/primitives.ts';
import type { Random } from './random.ts';

const { indexed, sizeUpdate, withIncrementalIndexing, withoutIndexing, neverIndexed } =
  representation;

/** `:method: GET`, by its index. */
export const get = field(2);

export function block(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts);
}

/** A field by its index. */
export function field(index: number): Buffer {
  return integer(index, indexed);
}

/** A change of the dynamic table's size. */
export function resize(size: number): Buffer {
  return integer(size, sizeUpdate);
}

/** A field that goes into the dynamic table. */
export function insert(name: string | number, value: string): Buffer {
  return literal(withIncrementalIndexing, name, string(value));
}

/** A field that does not, and its value may be any octets. */
export function plain(name: string | number, value: string | Buffer): Buffer {
  return literal(withoutIndexing, name, typeof value === 'string' ? string(value) : value);
}

export function huffman(text: string): Buffer {
  const writer = new BlockWriter(8 + 4 * text.length);
  writeHuffman(writer, text);
  return huffmanOctets(writer.written());
}

/** A string that says it is Huffman-coded, of any octets. */
export function huffmanOctets(octets: Buffer): Buffer {
  return block(integer(octets.length, stringRepresentation.huffman), octets);
}

/** A valid block for a table as it is now, with any of the representations. */
export function randomBlock(random: Random, table: DynamicTable, maxTableSize: number): Buffer {
  const parts: Buffer[] = [];
  if (random.oneIn(30)) parts.push(resize(random.below(maxTableSize + 1)));
  // An insertion may evict, so only indexes before the first one are sure.
  const highest = 61 + (parts.length === 0 ? table.count : 0);
  for (let left = random.below(8); left > 0; left--) parts.push(field(1 + random.below(highest)));
  const name = random.oneIn(2) ? 1 + random.below(61) : random.text(5, 'abc-');
  const value = random.text(random.oneIn(20) ? 300 : 6);
  if (random.oneIn(3)) {
    const prefix = random.oneIn(2) ? withoutIndexing : neverIndexed;
    parts.push(literal(prefix, name, random.oneIn(2) ? huffman(value) : string(value)));
  }
  if (random.oneIn(4)) parts.push(insert(name, value));
  return block(...parts);
}

function literal(prefix: Prefix, name: string | number, value: Buffer): Buffer {
  if (typeof name === 'number') return block(integer(name, prefix), value);
  return block(integer(0, prefix), string(name), value);
}

function string(text: string): Buffer {
  return block(integer(text.length, stringRepresentation.plain), Buffer.from(text, 'latin1'));
}

function integer(value: number, prefix: Prefix): Buffer {
  const writer = new BlockWriter(6);
  writeInteger(writer, value, prefix);
  return writer.written();
}
