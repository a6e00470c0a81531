/** Lets so many through each second, and twice as many at once. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;
  #left: number;
  #filledAt: number;

  /** `now` gives milliseconds. */
  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#burst = 2 * perSecond;
    this.#now = now;
    this.#left = this.#burst;
    this.#filledAt = now();
  }

  /** False when there have been too many. */
  take(): boolean {
    if (this.#left < 1) this.#refill();
    this.#left--;
    return this.#left >= 0;
  }

  /** Lets so many more through. A bucket never holds more than its burst. */
  earn(count: number): void {
    this.#left = Math.min(this.#burst, this.#left + count);
  }

  #refill(): void {
    const now = this.#now();
    const gained = ((now - this.#filledAt) / 1000) * this.#perSecond;
    this.#left = Math.min(this.#burst, Math.max(this.#left, 0) + gained);
    this.#filledAt = now;
  }
}
