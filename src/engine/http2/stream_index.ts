import { scatter } from './scatter.ts';

/** What an index holds: it keeps its place in the index itself. */
export interface Indexed<T> {
  readonly id: number;
  /** The index's own: another one of the same slot. */
  behind: T | undefined;
}

const fewest = 8;
/** With more slots than this, an empty index begins anew. */
const mostKept = 64;
/** So many identifiers that follow each other, as those of one connection do, have a slot each. */
const runBits = 10;

/**
 * Streams by their identifier: a hash table with chains. A peer may leave out identifiers as it likes:
 * those that do not follow each other are scattered. It is no Map for the reason that bag.ts gives.
 */
export class StreamIndex<T extends Indexed<T>> {
  #slots: (T | undefined)[] = emptySlots(fewest);
  #size = 0;
  /** The run asked for last, and where it begins. */
  #run = -1;
  #start = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    let found = this.#slots[this.#slotOf(id)];
    while (found && found.id !== id) found = found.behind;
    return found;
  }

  /** Those that are in it now. */
  all(): T[] {
    const all: T[] = [];
    for (const first of this.#slots) {
      for (let item = first; item; item = item.behind) all.push(item);
    }
    return all;
  }

  add(item: T): void {
    this.#size++;
    if (2 * this.#size > this.#slots.length) this.#grow();
    this.#put(item);
  }

  delete(id: number): void {
    const slot = this.#slotOf(id);
    let before: T | undefined;
    let found = this.#slots[slot];
    while (found && found.id !== id) {
      before = found;
      found = found.behind;
    }
    if (!found) return;
    if (before) before.behind = found.behind;
    else this.#slots[slot] = found.behind;
    found.behind = undefined;
    this.#size--;
    if (this.#size === 0 && this.#slots.length > mostKept) this.#slots = emptySlots(fewest);
  }

  #slotOf(id: number): number {
    const run = id >> (1 + runBits);
    if (run !== this.#run) {
      this.#run = run;
      this.#start = scatter(run);
    }
    return (this.#start + (id >> 1)) & (this.#slots.length - 1);
  }

  #put(item: T): void {
    const slot = this.#slotOf(item.id);
    item.behind = this.#slots[slot];
    this.#slots[slot] = item;
  }

  #grow(): void {
    const items = this.all();
    this.#slots = emptySlots(2 * this.#slots.length);
    for (const item of items) this.#put(item);
  }
}

function emptySlots(length: number): undefined[] {
  return Array.from({ length }, () => undefined);
}
