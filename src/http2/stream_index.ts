import type { Stream } from './stream.ts';

const fewest = 8;
/** With more slots than this, an empty index begins anew. */
const mostKept = 64;

/**
 * Streams by their identifier: a hash table with open addressing, whose hash is the identifier itself,
 * since those of one connection follow each other. It is no Map for the reason that bag.ts gives.
 */
export class StreamIndex {
  #slots: (Stream | undefined)[] = emptySlots(fewest);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): Stream | undefined {
    return this.#slots[this.#slotOf(id)];
  }

  /** Those that are in it now. */
  all(): Stream[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  add(stream: Stream): void {
    this.#size++;
    if (2 * this.#size > this.#slots.length) this.#grow();
    this.#slots[this.#slotOf(stream.id)] = stream;
  }

  delete(id: number): void {
    let hole = this.#slotOf(id);
    if (!this.#slots[hole]) return;
    this.#size--;
    if (this.#size === 0 && this.#slots.length > mostKept) {
      this.#slots = emptySlots(fewest);
      return;
    }
    // Whoever stands behind its own slot, because others stood there, moves up.
    const mask = this.#slots.length - 1;
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const stream = this.#slots[at];
      if (!stream) break;
      const distance = (at - (stream.id >> 1)) & mask;
      if (distance < ((at - hole) & mask)) continue;
      this.#slots[hole] = stream;
      hole = at;
    }
    this.#slots[hole] = undefined;
  }

  /** Where a stream stands, or would. */
  #slotOf(id: number): number {
    const mask = this.#slots.length - 1;
    let at = (id >> 1) & mask;
    for (let found = this.#slots[at]; found && found.id !== id; found = this.#slots[at]) {
      at = (at + 1) & mask;
    }
    return at;
  }

  #grow(): void {
    const streams = this.all();
    this.#slots = emptySlots(2 * this.#slots.length);
    for (const stream of streams) this.#slots[this.#slotOf(stream.id)] = stream;
  }
}

function emptySlots(length: number): (Stream | undefined)[] {
  return Array.from({ length }, () => undefined);
}
