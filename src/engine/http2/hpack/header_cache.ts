import type { HeaderList } from './header_list.ts';

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
