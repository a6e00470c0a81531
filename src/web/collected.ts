import { letGo } from '../engine/index.ts';

/** Parts of a body in one buffer of its own. */
export class Collected {
  /** The number of bytes that are to be collected, NaN if it is not known. */
  known: number;
  #buffer: Buffer = none;
  length = 0;

  constructor(known: number) {
    this.known = known;
  }

  /** The collected bytes, in the buffer that grows with them. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  /** Appends a copy. */
  push(part: Uint8Array): void {
    const length = this.length + part.length;
    if (length > this.#buffer.length) this.#grow(length);
    this.#buffer.set(part, this.length);
    this.length = length;
  }

  /** Returns the collected bytes, which belong to the caller, and starts again. */
  take(): Buffer {
    const { bytes } = this;
    this.#buffer = none;
    this.length = 0;
    return bytes;
  }

  /** Frees what was collected. */
  drop(): void {
    letGo(this.#buffer);
    this.#buffer = none;
    this.length = 0;
  }

  /** The whole length is allocated once an eighth has arrived. */
  #grow(length: number): void {
    const capacity = this.known <= 8 * length ? this.known : 2 * length;
    const grown = Buffer.allocUnsafeSlow(Math.max(length, capacity));
    grown.set(this.bytes);
    letGo(this.#buffer);
    this.#buffer = grown;
  }
}

const none = Buffer.alloc(0);
