/** An item of an UnorderedSet, which stores its position. */
export interface Placed {
  /** Position in the set, written by the set; -1 outside of it. */
  slot: number;
}

/**
 * Things that come and go by the thousand, in no order. A Set would do, but for V8's collector: a table
 * that a Set has outgrown points to the one that follows it, and once such a table is old, all that
 * follow and what stood in them wait for a major collection (half of the time went there).
 */
export class UnorderedSet<T extends Placed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** What is in it now; more may come and go meanwhile. */
  all(): T[] {
    return this.#items.slice();
  }

  add(item: T): void {
    item.slot = this.#items.push(item) - 1;
  }

  /** Takes out what is in it; what is not makes no difference. */
  delete(item: T): void {
    const { slot } = item;
    if (this.#items[slot] !== item) return;
    item.slot = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#items[slot] = last;
    last.slot = slot;
  }
}
