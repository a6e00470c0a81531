import {
  BlockWriter,
  mostIntegerOctets,
  representation,
  writeInteger,
  writeString,
} from './primitives.ts';
import { staticIndex, staticNameIndex } from './static_table.ts';

const { indexed, neverIndexed, sizeUpdate, withoutIndexing } = representation;

/** Fields that nobody on the way may put into a table, where their value could be guessed (RFC 7541 section 7.1.3). */
const sensitive = new Set(['authorization', 'cookie', 'proxy-authorization', 'set-cookie']);

const nothing = Buffer.alloc(0);

/** How fields begin whose names are in no table. Code has few names; whatever else comes is written each time. */
const writtenNames = new Map<string, Buffer>();
const mostNames = 100;
const longestName = 64;

/** Of a field: its index or its name's length, and its value's length. */
const mostOverhead = 1 + 2 * mostIntegerOctets;

/**
 * Encodes names (in lower case) and values in turn, one octet a character. It inserts nothing into the
 * peer's dynamic table, so that a block is valid on every connection, any number of times; see
 * encodeTableSizeUpdate() for the one thing to do before. They follow what is encoded already, if there is
 * something. Throws a RangeError for a character above U+00FF and for a name without a value.
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
 * Tells the peer how many octets our dynamic table has from now on (RFC 7541 section 6.3); it stands
 * before the first field of a block. We never insert, yet begin with a table of 4096 octets like
 * everybody: once we acknowledge a smaller SETTINGS_HEADER_TABLE_SIZE, the next block has to begin with
 * this (RFC 9113 section 4.3.1), or peers close the connection. With a 0 in the first block of a
 * connection that is done for good: a table of 0 octets is never too large, and a peer's table that may
 * grow need not (RFC 7541 section 4.2).
 */
export function encodeTableSizeUpdate(size: number): Buffer {
  const writer = new BlockWriter(mostIntegerOctets);
  writeInteger(writer, size, sizeUpdate);
  return writer.written();
}

function writeField(writer: BlockWriter, name: string, value: string): void {
  const nameIndex = staticNameIndex(name);
  if (nameIndex === 0) {
    writer.append(writtenNames.get(name) ?? writeName(name));
  } else {
    const index = staticIndex(name, value);
    if (index > 0) return writeInteger(writer, index, indexed);
    writeInteger(writer, nameIndex, sensitive.has(name) ? neverIndexed : withoutIndexing);
  }
  writeString(writer, value);
}

/** What a field begins with whose name is in no table. */
function writeName(name: string): Buffer {
  const writer = new BlockWriter(mostIntegerOctets + name.length + mostIntegerOctets);
  writeInteger(writer, 0, withoutIndexing);
  writeString(writer, name);
  const written = writer.written();
  if (writtenNames.size < mostNames && name.length <= longestName) writtenNames.set(name, written);
  return written;
}

/** A string never grows: the Huffman code is taken only where it is shorter. */
function roomFor(fields: readonly string[]): number {
  let room = fields.length * mostOverhead;
  for (const text of fields) room += text.length;
  return room;
}
