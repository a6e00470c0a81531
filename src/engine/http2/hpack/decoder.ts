import { type HeaderList, HeaderListBuilder, fieldOverhead } from './header_list.ts';
import { BlockReader, HpackError, readInteger, readString, representation } from './primitives.ts';
import { type Field, staticTable } from './static_table.ts';

const { indexed, withIncrementalIndexing, sizeUpdate, withoutIndexing } = representation;

interface DecoderOptions {
  /**
   * The initial maximum size of the dynamic table, in octets: 4096, unless other SETTINGS were acknowledged (RFC 9113
   * section 6.5.2).
   */
  maxTableSize?: number;
  /** The maximum size of a header list, counted as in RFC 9113 section 6.5.2: octets, plus 32 for each field. */
  maxHeaderListSize: number;
  /**
   * The maximum size of a list that is too large and only decoded to keep the dynamic table in sync; above it, an
   * HpackError is thrown.
   */
  maxDecodedSize?: number;
  /** True to cache the lists of repeated blocks. */
  cache?: boolean;
}

/** Creates the decoder of one connection, which must be given every header block once, in order. */
export function createHpackDecoder(options: DecoderOptions): HpackDecoder {
  return new HpackDecoder(options);
}

/**
 * The decoding context of one direction of a connection (RFC 7541 section 2.2). It is unusable after an HpackError.
 */
export class HpackDecoder {
  readonly table: DynamicTable;
  readonly #maxHeaderListSize: number;
  readonly #maxDecodedSize: number;
  readonly #cache: HeaderCache | undefined;
  /** The maximum that a size update may set: no other SETTINGS_HEADER_TABLE_SIZE is ever announced. */
  readonly #maxTableSize: number;

  constructor({
    maxTableSize = 4096,
    maxHeaderListSize,
    maxDecodedSize = Number.POSITIVE_INFINITY,
    cache = true,
  }: DecoderOptions) {
    this.table = new DynamicTable(maxTableSize);
    this.#maxTableSize = maxTableSize;
    this.#maxHeaderListSize = maxHeaderListSize;
    this.#maxDecodedSize = maxDecodedSize;
    this.#cache = cache ? new HeaderCache() : undefined;
  }

  /** Octets kept for later blocks. */
  get heldBytes(): number {
    return this.table.size + this.cachedBytes;
  }

  /** The octets of the cache, which dropCache() frees without affecting the peer. */
  get cachedBytes(): number {
    return this.#cache?.size ?? 0;
  }

  dropCache(): void {
    this.#cache?.drop();
  }

  /**
   * Decodes a complete block. It does not report which fields are never indexed, as that matters to intermediaries
   * only (RFC 7541 section 6.2.3). Throws an HpackError.
   */
  decode(block: Buffer): HeaderList {
    const { generation } = this.table;
    const known = this.#cache?.get(block, generation);
    if (known) return known;

    const reader = new BlockReader(block);
    const list = new HeaderListBuilder(this.#maxHeaderListSize);
    this.#updateSize(reader);
    while (!reader.done) {
      this.#readField(reader, list);
      if (list.size > this.#maxDecodedSize) {
        throw new HpackError(`a list has at most ${this.#maxDecodedSize} bytes`, {
          isExcess: true,
        });
      }
    }
    if (generation === this.table.generation) {
      list.isKept = this.#cache?.add(block, { list, size: list.size }) ?? false;
    }
    return list;
  }

  /** RFC 7541 section 4.2: allowed at the beginning of a block only. */
  #updateSize(reader: BlockReader): void {
    while (!reader.done && isSizeUpdate(reader.peek())) {
      const size = readInteger(reader, sizeUpdate.mask);
      const most = this.#maxTableSize;
      if (size > most) throw new HpackError(`the dynamic table has at most ${most} octets`);
      this.table.resize(size);
    }
  }

  #readField(reader: BlockReader, list: HeaderListBuilder): void {
    const first = reader.peek();
    if (first >= indexed.pattern) {
      const { name, value } = this.#field(readInteger(reader, indexed.mask));
      list.add(name, value);
    } else if (first >= withIncrementalIndexing.pattern) {
      const name = this.#readName(reader, withIncrementalIndexing.mask);
      const value = readString(reader);
      this.table.insert({ name, value });
      list.add(name, value);
    } else if (isSizeUpdate(first)) {
      throw new HpackError('the size of the dynamic table changes before the first field');
    } else {
      const name = this.#readName(reader, withoutIndexing.mask);
      list.add(name, readString(reader));
    }
  }

  /** RFC 7541 section 6.2: the index of the field's name, or 0 before a literal name. */
  #readName(reader: BlockReader, mask: number): string {
    const index = readInteger(reader, mask);
    return index === 0 ? readString(reader) : this.#field(index).name;
  }

  /** RFC 7541 section 2.3.3: the indices of the dynamic table follow those of the static one. */
  #field(index: number): Field {
    const field =
      index <= staticTable.length
        ? staticTable[index - 1]
        : this.table.get(index - staticTable.length - 1);
    if (field === undefined) throw new HpackError(`there is no field ${index}`);
    return field;
  }
}

function isSizeUpdate(first: number): boolean {
  return (first & ~sizeUpdate.mask) === sizeUpdate.pattern;
}

/** The dynamic table (RFC 7541 section 2.3.2): a ring buffer, newest entry first. */
export class DynamicTable {
  #ring: (Field | undefined)[] = Array.from({ length: 16 });
  /** The position of the newest entry in the ring, whose length is a power of two. */
  #newest = 0;
  #count = 0;
  #size = 0;
  #maxSize: number;
  #generation = 0;

  /** `maxSize` in octets, counted as in RFC 7541 section 4.1. */
  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get count(): number {
    return this.#count;
  }

  get size(): number {
    return this.#size;
  }

  get maxSize(): number {
    return this.#maxSize;
  }

  /** A number that changes with the contents and the maximum size of the table, and is never reused. */
  get generation(): number {
    return this.#generation;
  }

  /** The entry at an index; 0 is the newest. */
  get(place: number): Field | undefined {
    if (place >= this.#count) return undefined;
    return this.#ring[(this.#newest - place) & (this.#ring.length - 1)];
  }

  /** RFC 7541 section 4.4: evicts first; an entry larger than the table leaves it empty. */
  insert(field: Field): void {
    this.#generation++;
    const size = sizeOf(field);
    this.#evictTo(this.#maxSize - size);
    if (size > this.#maxSize) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count++;
    this.#size += size;
  }

  /** RFC 7541 section 4.3. */
  resize(maxSize: number): void {
    this.#generation++;
    this.#maxSize = maxSize;
    this.#evictTo(maxSize);
  }

  #evictTo(size: number): void {
    const mask = this.#ring.length - 1;
    while (this.#size > size && this.#count > 0) {
      const oldest = (this.#newest - --this.#count) & mask;
      const field = this.#ring[oldest];
      if (field) this.#size -= sizeOf(field);
      this.#ring[oldest] = undefined;
    }
  }

  #grow(): void {
    const fields = Array.from({ length: this.#count }, (_, at) => this.get(this.#count - 1 - at));
    this.#ring = fields.concat(Array.from({ length: this.#count }));
    this.#newest = this.#count - 1;
  }
}

function sizeOf({ name, value }: Field): number {
  return name.length + value.length + fieldOverhead;
}

/** A header list with its size, for the cache. */
interface Kept {
  readonly list: HeaderList;
  /** The size as in RFC 9113 section 6.5.2: an upper bound of the memory that it keeps. */
  readonly size: number;
}

const maxEntries = 64;
const maxBlockOctets = 512;
/** The maximum size of a cached list; one with a bearer token fits. */
const maxListSize = 4096;
/** The maximum size of all cached blocks and lists. */
const maxTotal = 32 * 1024;
/** The number of blocks that are not cached after a full cache without a hit. */
const rest = 1000;

/**
 * Caches the header lists of repeated blocks. Equal blocks have equal lists only while the dynamic table is
 * unchanged, so the cache holds one generation of the table at a time. A block that changes the table must be decoded
 * each time and is never added.
 */
export class HeaderCache {
  /** Keyed by the block's octets: V8 hashes strings with a per-process secret. */
  readonly #kept = new Map<string, HeaderList>();
  #generation = 0;
  #total = 0;
  #wasHit = false;
  #resting = 0;

  /** The size of cached blocks and lists, in octets. */
  get size(): number {
    return this.#total;
  }

  /** The list of an equal block of this generation. */
  get(block: Buffer, generation: number): HeaderList | undefined {
    if (generation !== this.#generation) this.#clear(generation);
    // Skips the cost for a peer that changes its table with every block.
    if (this.#kept.size === 0) return undefined;
    const list = this.#kept.get(block.toString('latin1'));
    if (list) this.#wasHit = true;
    return list;
  }

  /** Caches the list of a block that get() did not find, unless it is too large; returns whether it did. */
  add(block: Buffer, { list, size }: Kept): boolean {
    if (block.length > maxBlockOctets || size > maxListSize) return false;
    if (this.#resting > 0) {
      this.#resting--;
      return false;
    }
    const total = block.length + size;
    if (this.#kept.size === maxEntries || this.#total + total > maxTotal) {
      if (!this.#wasHit) this.#resting = rest;
      this.#clear(this.#generation);
      return false;
    }
    this.#kept.set(block.toString('latin1'), list);
    this.#total += total;
    return true;
  }

  /** Empties the cache. */
  drop(): void {
    this.#clear(this.#generation);
  }

  #clear(generation: number): void {
    this.#generation = generation;
    this.#total = 0;
    this.#wasHit = false;
    this.#kept.clear();
  }
}
