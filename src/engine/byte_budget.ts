/** What somebody keeps for speed alone. */
export interface Spare {
  /** Whether it serves nobody now. */
  readonly isIdle: boolean;
  /** Frees it, and tells the budget of the bytes that have gone. */
  drop(): void;
}

/** Of the limit: where there is no room, spares are dropped until so much is free. */
const roomMade = 1 / 16;

/**
 * The bytes that all connections of a server hold together, against one limit. Beyond it whoever can
 * stop taking more does so, and is called back when there is room. But first what is kept for speed alone
 * is dropped.
 */
export class ByteBudget {
  readonly #limit: number;
  readonly #waiting = new Set<() => void>();
  readonly #spares = new Set<Spare>();
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** How many bytes there are too many. */
  get excess(): number {
    return Math.max(0, this.#used - this.#limit);
  }

  /** Whether there are so many that nobody may add to them, whatever it would free later. */
  get isFarExceeded(): boolean {
    return this.excess > this.#limit / 4;
  }

  /** Counts what has come, or with a negative number what has gone. */
  add(bytes: number): void {
    this.#used += bytes;
    if (this.#used > this.#limit && this.#spares.size > 0) this.#makeRoom();
    if (bytes >= 0 || this.#waiting.size === 0 || this.#used > this.#limit) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resume of waiting) resume();
  }

  /** Has something dropped, once, where there is no room for what is of use. */
  offer(spare: Spare): void {
    this.#spares.add(spare);
  }

  /** Takes offer() back. */
  withdraw(spare: Spare): void {
    this.#spares.delete(spare);
  }

  /** Calls back once, when there is room. */
  wait(resume: () => void): void {
    this.#waiting.add(resume);
  }

  /** Takes wait() back. */
  leave(resume: () => void): void {
    this.#waiting.delete(resume);
  }

  /** More than is needed, so that not every byte that comes has all spares looked at. */
  #makeRoom(): void {
    const enough = this.#limit * (1 - roomMade);
    for (const idleOnly of [true, false]) {
      for (const spare of this.#spares) {
        if (this.#used <= enough) return;
        if (idleOnly && !spare.isIdle) continue;
        this.#spares.delete(spare);
        spare.drop();
      }
    }
  }
}
