import { maxInt31 } from './frame.ts';

/**
 * What we may still send: of a stream, or of the whole connection. A peer that lowers
 * INITIAL_WINDOW_SIZE can make it negative (RFC 9113 section 6.9.2).
 */
export class SendWindow {
  #available: number;

  constructor(initial: number) {
    this.#available = initial;
  }

  get available(): number {
    return this.#available;
  }

  /** So much has been sent. */
  take(bytes: number): void {
    this.#available -= bytes;
  }

  /** False when that makes more than 2^31 - 1 bytes (RFC 9113 section 6.9.1). */
  grow(bytes: number): boolean {
    this.#available += bytes;
    return this.#available <= maxInt31;
  }
}

/**
 * What the peer may still send. What it has sent is given back in portions of half the window, so that
 * there is not a WINDOW_UPDATE for every read.
 */
export class ReceiveWindow {
  #size: number;
  #available: number;
  #consumed = 0;

  constructor(size: number) {
    this.#size = size;
    this.#available = size;
  }

  /** False when the peer sends more than it may (RFC 9113 section 6.9.1). */
  take(bytes: number): boolean {
    if (bytes > this.#available) return false;
    this.#available -= bytes;
    return true;
  }

  /** How much it is smaller than that size. */
  missing(size: number): number {
    return Math.max(0, size - this.#size);
  }

  /** Makes it larger by so much, which a WINDOW_UPDATE should add. */
  widen(more: number): number {
    this.#size += more;
    this.#available += more;
    return more;
  }

  /** Gives how much a WINDOW_UPDATE should give back now, if any. */
  consume(bytes: number): number {
    this.#consumed += bytes;
    if (this.#consumed < this.#size / 2) return 0;
    const update = this.#consumed;
    this.#consumed = 0;
    this.#available += update;
    return update;
  }
}
