import type { Output } from './output.ts';

/** What a part of a body takes beside its bytes: a peer may have us hold one that comes byte by byte. */
const partCost = 128;

/** Parts of a response that wait for a window. */
export class SendQueue {
  #parts: Uint8Array[] = [];
  #length = 0;
  #cost = 0;
  #isSplit = false;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** The same as they count, where many small parts count for more. */
  get cost(): number {
    return this.#cost;
  }

  /** Whether the peer has got the beginning of a part, and not its end. */
  get isSplit(): boolean {
    return this.#isSplit;
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
  moveTo(output: Output, length: number): void {
    let left = length;
    let taken = 0;
    for (const part of this.#parts) {
      if (left === 0) break;
      if (part.length > left) {
        output.bytes(part.subarray(0, left));
        const rest = part.subarray(left);
        this.#parts[taken] = rest;
        this.#isSplit = true;
        this.#cost -= costOf(part) - costOf(rest);
        break;
      }
      output.bytes(part);
      this.#isSplit = false;
      this.#cost -= costOf(part);
      left -= part.length;
      taken++;
    }
    this.#parts.splice(0, taken);
    this.#length -= length;
  }

  /** Drops what waits; whether a part is split stays. */
  clear(): void {
    this.#parts = [];
    this.#length = 0;
    this.#cost = 0;
  }
}

function costOf(part: Uint8Array): number {
  return part.length + partCost;
}
