import type { Rate } from './limits.ts';

/** Lets so many through at once, and then so many a second. */
export class TokenBucket {
  readonly #rate: Rate;
  readonly #now: () => number;
  #left: number;
  #filledAt: number;

  /** `now` gives milliseconds. */
  constructor(rate: Rate, now: () => number) {
    this.#rate = rate;
    this.#now = now;
    this.#left = rate.burst;
    this.#filledAt = now();
  }

  /** False when there have been too many. */
  take(): boolean {
    if (this.#left < 1) this.#refill();
    this.#left--;
    return this.#left >= 0;
  }

  #refill(): void {
    const now = this.#now();
    const gained = ((now - this.#filledAt) / 1000) * this.#rate.perSecond;
    this.#left = Math.min(this.#rate.burst, Math.max(this.#left, 0) + gained);
    this.#filledAt = now;
  }
}
