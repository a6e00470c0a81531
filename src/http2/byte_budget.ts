/**
 * The bytes that all connections of a server hold together, against one limit. Beyond it whoever can
 * stop taking more does so, and is called back when there is room.
 */
export class ByteBudget {
  readonly #limit: number;
  readonly #waiting = new Set<() => void>();
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
    if (bytes >= 0 || this.#waiting.size === 0 || this.#used > this.#limit) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resume of waiting) resume();
  }

  /** Calls back once, when there is room. */
  wait(resume: () => void): void {
    this.#waiting.add(resume);
  }

  /** Takes wait() back. */
  leave(resume: () => void): void {
    this.#waiting.delete(resume);
  }
}
