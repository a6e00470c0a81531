import { HpackError } from './hpack_error.ts';

/** A header block that is read from front to back. */
export class BlockReader {
  readonly bytes: Buffer;
  /** Where the next octet is. */
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  /** The next octet, which stays the next one. Throws a HpackError at the end. */
  peek(): number {
    return octetAt(this.bytes, this.at);
  }

  /** Throws a HpackError at the end. */
  next(): number {
    return octetAt(this.bytes, this.at++);
  }

  /** Goes past `length` octets, and gives where they begin. Throws a HpackError if there are fewer. */
  skip(length: number): number {
    const from = this.at;
    this.at += length;
    if (this.at > this.bytes.length) throw tooShort();
    return from;
  }
}

/** A header block that is written from front to back, with room for all of it from the start. */
export class BlockWriter {
  readonly bytes: Buffer;
  /** Where the next octet goes. */
  at = 0;

  constructor(room: number) {
    this.bytes = Buffer.allocUnsafe(room);
  }

  /** Keeps the low eight bits of the octet. */
  push(octet: number): void {
    this.bytes[this.at++] = octet;
  }

  written(): Buffer {
    return this.bytes.subarray(0, this.at);
  }
}

/** The check that TypeScript asks for is the check for the end. Throws a HpackError there. */
export function octetAt(bytes: Uint8Array, at: number): number {
  const octet = bytes[at];
  if (octet === undefined) throw tooShort();
  return octet;
}

function tooShort(): HpackError {
  return new HpackError('it ends in the middle of a field');
}
