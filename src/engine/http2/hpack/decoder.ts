import { type HeaderList, HeaderListBuilder, fieldOverhead } from './header_list.ts';
import { BlockReader, HpackError, readInteger, readString, representation } from './primitives.ts';
import { type Field, staticTable } from './static_table.ts';

const { indexed, withIncrementalIndexing, sizeUpdate, withoutIndexing } = representation;

interface DecoderOptions {
  /**
   * The dynamic table's size in octets that both sides begin with: 4096, unless they agreed on
   * another one before (RFC 9113 section 6.5.2).
   */
  maxTableSize?: number;
  /** Of a list, as RFC 9113 section 6.5.2 counts it: octets, and 32 for each field. */
  maxHeaderListSize: number;
  /** Of a list that is larger and only decoded for the table's sake: a HpackError beyond it. */
  maxDecodedSize?: number;
  /** Whether to keep the lists of blocks that come again. */
  cache?: boolean;
}

/** Decodes the header blocks of one connection, each of them once and in their order. */
export function createHpackDecoder(options: DecoderOptions): HpackDecoder {
  return new HpackDecoder(options);
}

/** One direction of a connection (RFC 7541 section 2.2). After a HpackError it is of no more use. */
export class HpackDecoder {
  readonly table: DynamicTable;
  readonly #maxHeaderListSize: number;
  readonly #maxDecodedSize: number;
  readonly #cache: HeaderCache | undefined;
  /** The most that a size update may ask for: we never announce another SETTINGS_HEADER_TABLE_SIZE. */
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

  /** Octets that are kept for the blocks to come. */
  get heldBytes(): number {
    return this.table.size + this.cachedBytes;
  }

  /** Those of them that dropCache() frees: the peer has no part in them. */
  get cachedBytes(): number {
    return this.#cache?.size ?? 0;
  }

  dropCache(): void {
    this.#cache?.drop();
  }

  /**
   * Gives what a whole block says, without whether the peer marked a field as never indexed: that is
   * for those who pass it on (RFC 7541 section 6.2.3). Throws a HpackError.
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

  /** RFC 7541 section 4.2: at the beginning of a block, and nowhere else. */
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

  /** RFC 7541 section 6.2: a field's name, or 0 before a name that is spelt out. */
  #readName(reader: BlockReader, mask: number): string {
    const index = readInteger(reader, mask);
    return index === 0 ? readString(reader) : this.#field(index).name;
  }

  /** RFC 7541 section 2.3.3: the dynamic table goes on where the static one ends. */
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

/** The fields that a peer had us keep, newest first (RFC 7541 section 2.3.2): a ring. */
export class DynamicTable {
  #ring: (Field | undefined)[] = Array.from({ length: 16 });
  /** The newest field's place in the ring, whose length is a power of two. */
  #newest = 0;
  #count = 0;
  #size = 0;
  #maxSize: number;
  #generation = 0;

  /** `maxSize` in octets, as RFC 7541 section 4.1 counts them. */
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

  /** Another number for whatever else the table holds or may hold; never an earlier one again. */
  get generation(): number {
    return this.#generation;
  }

  /** The field at a place: 0 is the newest one. */
  get(place: number): Field | undefined {
    if (place >= this.#count) return undefined;
    return this.#ring[(this.#newest - place) & (this.#ring.length - 1)];
  }

  /** RFC 7541 section 4.4: evicts first, and a field larger than the table leaves it empty. */
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

/** What a list counts for when it is kept. */
interface Kept {
  readonly list: HeaderList;
  /** The list's size as RFC 9113 section 6.5.2 has it: an upper bound of what it holds on to. */
  readonly size: number;
}

const maxEntries = 64;
const maxBlockOctets = 512;
/** Of a list: one with a token in it fits. */
const maxListSize = 4096;
/** Of all blocks and lists together. */
const maxTotal = 32 * 1024;
/** Blocks that are not kept after a cache full of blocks that never came again. */
const rest = 1000;

/**
 * The lists of blocks that a peer sends again and again. Equal blocks are equal lists only for as long
 * as the dynamic table stays what it was, so one generation is kept at a time; and a block that changes
 * the table has to be decoded each time, so the caller never adds one.
 */
export class HeaderCache {
  /** By the block's octets: V8 hashes the string with a secret of the process, then compares it. */
  readonly #kept = new Map<string, HeaderList>();
  #generation = 0;
  #total = 0;
  #wasHit = false;
  #resting = 0;

  /** What its blocks and lists take, in octets. */
  get size(): number {
    return this.#total;
  }

  /** The list of an equal block of this generation. */
  get(block: Buffer, generation: number): HeaderList | undefined {
    if (generation !== this.#generation) this.#clear(generation);
    // A peer that changes its table with every block pays nothing for this.
    if (this.#kept.size === 0) return undefined;
    const list = this.#kept.get(block.toString('latin1'));
    if (list) this.#wasHit = true;
    return list;
  }

  /** Keeps the list of a block that get() did not find, unless it is large; gives whether it does. */
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

  /** Forgets all of them. */
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
