import { maxInt31 } from './frames.ts';

/**
 * The send window of a stream or of the connection. It becomes negative if the peer lowers INITIAL_WINDOW_SIZE (RFC
 * 9113 section 6.9.2).
 */
export class SendWindow {
  #available: number;

  constructor(initial: number) {
    this.#available = initial;
  }

  get available(): number {
    return this.#available;
  }

  /** Subtracts bytes that were sent. */
  take(bytes: number): void {
    this.#available -= bytes;
  }

  /** Returns false if the window would exceed 2^31 - 1 bytes (RFC 9113 section 6.9.1). */
  grow(bytes: number): boolean {
    this.#available += bytes;
    return this.#available <= maxInt31;
  }
}

/**
 * The receive window of a stream or of the connection. WINDOW_UPDATE is sent for half of the window at a time,
 * instead of for every read.
 */
export class ReceiveWindow {
  #size: number;
  #available: number;
  #consumed = 0;

  constructor(size: number) {
    this.#size = size;
    this.#available = size;
  }

  /** Returns false if the peer exceeds the window (RFC 9113 section 6.9.1). */
  take(bytes: number): boolean {
    if (bytes > this.#available) return false;
    this.#available -= bytes;
    return true;
  }

  /** The number of bytes by which it is smaller than `size`. */
  missing(size: number): number {
    return Math.max(0, size - this.#size);
  }

  /** Enlarges the window; returns the increment for a WINDOW_UPDATE. */
  widen(more: number): number {
    this.#size += more;
    this.#available += more;
    return more;
  }

  /** Counts consumed bytes; returns the increment for a WINDOW_UPDATE now, or 0. */
  consume(bytes: number): number {
    this.#consumed += bytes;
    if (this.#consumed < this.#size / 2) return 0;
    const update = this.#consumed;
    this.#consumed = 0;
    this.#available += update;
    return update;
  }
}

/** The payload of a frame that is being written. */
export interface Payload {
  /** Appends bytes. */
  bytes(bytes: Uint8Array): void;
}

/** The overhead of a queued part in bytes, as a response may consist of many small ones. */
const partCost = 128;

/** Response data that waits for flow control. */
export class SendQueue {
  #parts: Uint8Array[] = [];
  #length = 0;
  #cost = 0;
  /** The bytes of the first part that have been sent; the part is kept until all of it is sent. */
  #sent = 0;

  /** The number of queued bytes. */
  get length(): number {
    return this.#length;
  }

  /** The queued bytes with the overhead of each part. */
  get cost(): number {
    return this.#cost;
  }

  /** The bytes kept in memory: a part is freed only when its last byte is sent. */
  get held(): number {
    return this.#parts.length > 0 ? this.#cost + this.#sent : 0;
  }

  /** True if a part has been sent in part. */
  get isSplit(): boolean {
    return this.#sent > 0;
  }

  add(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    this.#cost += costOf(bytes);
  }

  /** The bytes of the leading parts that fit completely into `room`. */
  wholeParts(room: number): number {
    let whole = 0;
    for (const { length } of this.#parts) {
      if (whole + length > room) break;
      whole += length;
    }
    return whole;
  }

  /** Moves bytes into a frame. */
  moveTo(output: Payload, length: number): void {
    let left = length;
    let taken = 0;
    for (const part of this.#parts) {
      if (left === 0) break;
      if (part.length > left) {
        output.bytes(part.subarray(0, left));
        const rest = part.subarray(left);
        this.#parts[taken] = rest;
        this.#sent += left;
        this.#cost -= left;
        break;
      }
      output.bytes(part);
      this.#sent = 0;
      this.#cost -= costOf(part);
      left -= part.length;
      taken++;
    }
    this.#parts.splice(0, taken);
    this.#length -= length;
  }

  /** Drops queued data; `isSplit` is kept. */
  clear(): void {
    this.#parts = [];
    this.#length = 0;
    this.#cost = 0;
  }
}

function costOf(part: Uint8Array): number {
  return part.length + partCost;
}
