/** A rate limiter: a token bucket with a burst of twice the rate per second. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;
  #left: number;
  #filledAt: number;

  /** `now` returns milliseconds. */
  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#burst = 2 * perSecond;
    this.#now = now;
    this.#left = this.#burst;
    this.#filledAt = now();
  }

  /** Returns false if the rate is exceeded. */
  take(): boolean {
    if (this.#left < 1) this.#refill();
    this.#left--;
    return this.#left >= 0;
  }

  /** Adds tokens, up to the burst. */
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
