import { DynamicTable } from './dynamic_table.ts';
import { HeaderCache } from './header_cache.ts';
import { type HeaderList, HeaderListBuilder } from './header_list.ts';
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
  /** The most that a size update may ask for. */
  #maxTableSize: number;
  /** What the next block's first size update must not exceed, if it has to begin with one. */
  #shrinkTo: number | undefined;

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
   * Takes note that the peer has acknowledged our SETTINGS_HEADER_TABLE_SIZE. If its table may be
   * larger than that now, its next block has to make it smaller (RFC 9113 section 4.3.1), to the
   * smallest size there was in between (RFC 7541 section 4.2).
   */
  setMaxTableSize(size: number): void {
    this.#maxTableSize = size;
    if (size < (this.#shrinkTo ?? this.table.maxSize)) this.#shrinkTo = size;
  }

  /**
   * Gives what a whole block says, without whether the peer marked a field as never indexed: that is
   * for those who pass it on (RFC 7541 section 6.2.3). Throws a HpackError.
   */
  decode(block: Buffer): HeaderList {
    const { generation } = this.table;
    const known = this.#shrinkTo === undefined && this.#cache?.get(block, generation);
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
      const most = this.#shrinkTo ?? this.#maxTableSize;
      if (size > most) throw new HpackError(`the dynamic table has at most ${most} octets now`);
      this.#shrinkTo = undefined;
      this.table.resize(size);
    }
    if (this.#shrinkTo !== undefined) {
      throw new HpackError('it has to begin with a smaller size of the dynamic table');
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
