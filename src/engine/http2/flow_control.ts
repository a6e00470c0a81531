import { maxInt31 } from './frames.ts';

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

/** A frame that is being put out. */
export interface Payload {
  /** Adds to it. */
  bytes(bytes: Uint8Array): void;
}

/** What a part of a body takes beside its bytes: a peer may have us hold one that comes byte by byte. */
const partCost = 128;

/** Parts of a response that wait for a window. */
export class SendQueue {
  #parts: Uint8Array[] = [];
  #length = 0;
  #cost = 0;
  /** What the peer has got of the first part, which is kept whole until it has all of it. */
  #sent = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** The same as they count, where many small parts count for more. */
  get cost(): number {
    return this.#cost;
  }

  /** Bytes that are kept for it: a part stays whole in memory until the last of it has been moved. */
  get held(): number {
    return this.#parts.length > 0 ? this.#cost + this.#sent : 0;
  }

  /** Whether the peer has got the beginning of a part, and not its end. */
  get isSplit(): boolean {
    return this.#sent > 0;
  }

  add(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    this.#cost += costOf(bytes);
  }

  /** Bytes of those parts that fit as a whole into so many. */
  wholeParts(room: number): number {
    let whole = 0;
    for (const { length } of this.#parts) {
      if (whole + length > room) break;
      whole += length;
    }
    return whole;
  }

  /** Moves so many bytes into a frame. */
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

  /** Drops what waits; whether a part is split is known still. */
  clear(): void {
    this.#parts = [];
    this.#length = 0;
    this.#cost = 0;
  }
}

function costOf(part: Uint8Array): number {
  return part.length + partCost;
}
