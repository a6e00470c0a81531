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

/** `:method: GET`, indexed. */
export const get = field(2);

export function block(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts);
}

/** An indexed field. */
export function field(index: number): Buffer {
  return integer(index, indexed);
}

/** A dynamic table size update. */
export function resize(size: number): Buffer {
  return integer(size, sizeUpdate);
}

/** A literal with incremental indexing. */
export function insert(name: string | number, value: string): Buffer {
  return literal(withIncrementalIndexing, name, string(value));
}

/** A literal without indexing, with any octets as value. */
export function plain(name: string | number, value: string | Buffer): Buffer {
  return literal(withoutIndexing, name, typeof value === 'string' ? string(value) : value);
}

export function huffman(text: string): Buffer {
  const writer = new BlockWriter(8 + 4 * text.length);
  writeHuffman(writer, text);
  return huffmanOctets(writer.written());
}

/** A string with the Huffman flag and any octets. */
export function huffmanOctets(octets: Buffer): Buffer {
  return block(integer(octets.length, stringRepresentation.huffman), octets);
}

/** A random valid block for the current table, with any representation. */
export function randomBlock(random: Random, table: DynamicTable, maxTableSize: number): Buffer {
  const parts: Buffer[] = [];
  if (random.oneIn(30)) parts.push(resize(random.below(maxTableSize + 1)));
  // Insertions may evict entries, so only indices before the first one are certain.
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
