import {
  BlockWriter,
  maxIntegerOctets,
  representation,
  writeInteger,
  writeString,
} from './primitives.ts';
import { staticIndex, staticNameIndex } from './static_table.ts';

const { indexed, neverIndexed, sizeUpdate, withoutIndexing } = representation;

/**
 * Never indexed, so that no intermediary puts them into a table where the value could be guessed (RFC 7541 section
 * 7.1.3).
 */
const sensitive = new Set(['authorization', 'cookie', 'proxy-authorization', 'set-cookie']);

const nothing = Buffer.alloc(0);

/** Encoded names that are not in the static table. Applications use few names; any others are encoded every time. */
const encodedNames = new Map<string, Buffer>();
const maxNames = 100;
const maxNameLength = 64;

/** The overhead of a field: an index or the length of its name, and the length of its value. */
const maxOverhead = 1 + 2 * maxIntegerOctets;

/**
 * Encodes alternating names (lower case) and values, one octet per character. It adds nothing to the peer's dynamic
 * table, so a block is valid on every connection and any number of times; encodeTableSizeUpdate() must come first.
 * They follow `before`, the beginning of the block, which is encoded already. Throws a RangeError for a character above U+00FF and for a name without a value.
 */
export function encodeHeaders(fields: readonly string[], before: Buffer = nothing): Buffer {
  const writer = new BlockWriter(before.length + roomFor(fields));
  writer.append(before);
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at];
    const value = fields[at + 1];
    if (name === undefined || value === undefined) {
      throw new RangeError('Cannot encode headers: every name has a value');
    }
    writeField(writer, name, value);
  }
  return writer.written();
}

/**
 * Encodes a dynamic table size update (RFC 7541 section 6.3), which must come first in a block. The encoder never
 * inserts, but its table is 4096 octets at first, and after a smaller SETTINGS_HEADER_TABLE_SIZE is acknowledged, the
 * next block must start with an update (RFC 9113 section 4.3.1), or peers close the connection. An update to 0 in the
 * first block settles that for good: 0 octets are never too large, and a table need not grow (RFC 7541 section 4.2).
 */
export function encodeTableSizeUpdate(size: number): Buffer {
  const writer = new BlockWriter(maxIntegerOctets);
  writeInteger(writer, size, sizeUpdate);
  return writer.written();
}

function writeField(writer: BlockWriter, name: string, value: string): void {
  const nameIndex = staticNameIndex(name);
  if (nameIndex === 0) {
    writer.append(encodedNames.get(name) ?? encodeName(name));
  } else {
    const index = staticIndex(name, value);
    if (index > 0) return writeInteger(writer, index, indexed);
    writeInteger(writer, nameIndex, sensitive.has(name) ? neverIndexed : withoutIndexing);
  }
  writeString(writer, value);
}

/** Encodes the beginning of a field whose name is not in the static table. */
function encodeName(name: string): Buffer {
  const writer = new BlockWriter(maxIntegerOctets + name.length + maxIntegerOctets);
  writeInteger(writer, 0, withoutIndexing);
  writeString(writer, name);
  const encoded = writer.written();
  if (encodedNames.size < maxNames && name.length <= maxNameLength) encodedNames.set(name, encoded);
  return encoded;
}

/** Huffman coding is used only if it is shorter, so a string never grows. */
function roomFor(fields: readonly string[]): number {
  let room = fields.length * maxOverhead;
  for (const text of fields) room += text.length;
  return room;
}
