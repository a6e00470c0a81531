import { ServerError, Status } from 'nice-grpc-common';
import { CallersFault } from '../errors.ts';
import { prefixLength } from './methods.ts';

/** A message as it came. Its bytes are never written again, but share memory with others. */
export interface RawMessage {
  bytes: Buffer;
  compressed: boolean;
}

/**
 * Cuts the body of a request into messages (PROTOCOL-HTTP2.md, Length-Prefixed-Message), when they
 * are asked for. What waits takes as much memory as it took on the wire, however it was cut there.
 */
export class MessageReader {
  readonly #maxSize: number;
  #bytes: Buffer = empty;
  /** What is there and not read stands from here to `end`. */
  #at = 0;
  #end = 0;
  /** The bytes are the caller's, and `bytes` has no room behind them. */
  #isBorrowed = true;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** Bytes that have not been read. */
  get heldBytes(): number {
    return this.#end - this.#at;
  }

  /** Takes a part of the body, which stays the caller's until keep(). */
  push(chunk: Buffer): void {
    if (this.#at < this.#end) return this.#append(chunk);
    this.#bytes = chunk;
    this.#at = 0;
    this.#end = chunk.length;
    this.#isBorrowed = true;
  }

  /** Makes what is not read its own. */
  keep(): void {
    if (!this.#isBorrowed) return;
    if (this.#at < this.#end) this.#append(empty);
    else this.#bytes = empty;
  }

  /**
   * Bytes of the next message with its prefix, once that one is there. Throws a ServerError where there
   * can be no message.
   */
  nextLength(): number | undefined {
    if (this.heldBytes < prefixLength) return undefined;
    const flags = this.#bytes.readUInt8(this.#at);
    if (flags > 1) throw broken(`a message with the flags ${flags}`);
    const size = this.#bytes.readUInt32BE(this.#at + 1);
    if (size > this.#maxSize) throw tooLarge(this.#maxSize);
    return prefixLength + size;
  }

  /** Gives the next message, if it is whole. Throws a ServerError where there can be none. */
  next(): RawMessage | undefined {
    const length = this.nextLength();
    if (length === undefined || length > this.heldBytes) return undefined;
    const compressed = this.#bytes.readUInt8(this.#at) === 1;
    const bytes = this.#bytes.subarray(this.#at + prefixLength, this.#at + length);
    this.#at += length;
    this.#shrink();
    return { bytes, compressed };
  }

  /** Forgets what is not read. */
  clear(): void {
    this.#bytes = empty;
    this.#at = 0;
    this.#end = 0;
    this.#isBorrowed = true;
  }

  /** Only ever behind what is there: messages that were given out lie before it. */
  #append(chunk: Buffer): void {
    if (this.#isBorrowed || this.#end + chunk.length > this.#bytes.length) {
      this.#move(this.#roomFor(chunk));
    }
    this.#end += chunk.copy(this.#bytes, this.#end);
  }

  /** Twice what is held, so that what comes in small pieces is seldom copied; one message needs no more than it has. */
  #roomFor(chunk: Buffer): number {
    const needed = this.heldBytes + chunk.length;
    const generous = Math.max(2 * this.heldBytes, leastRoom, needed);
    if (this.heldBytes < prefixLength) return generous;
    const whole = prefixLength + this.#bytes.readUInt32BE(this.#at + 1);
    return needed > whole ? generous : Math.min(generous, whole);
  }

  /** A few bytes that are left do not keep the room of many. */
  #shrink(): void {
    const held = this.heldBytes;
    if (held === 0) this.clear();
    else if (!this.#isBorrowed && this.#bytes.length > 4 * Math.max(held, leastRoom)) {
      this.#move(Math.max(2 * held, leastRoom));
    }
  }

  #move(room: number): void {
    const own = Buffer.allocUnsafeSlow(room);
    this.#end = this.#bytes.copy(own, 0, this.#at, this.#end);
    this.#bytes = own;
    this.#at = 0;
    this.#isBorrowed = false;
  }
}

const leastRoom = 256;
const empty = Buffer.alloc(0);

/** RESOURCE_EXHAUSTED that names the bound, in bytes. */
export function tooLarge(maxSize: number): ServerError {
  const message = `Cannot take a message of more than ${maxSize} bytes`;
  return new ServerError(Status.RESOURCE_EXHAUSTED, message);
}

/** INTERNAL: the caller does not keep to the protocol. */
export function broken(what: string, options?: ErrorOptions): CallersFault {
  return new CallersFault(`Cannot take ${what}`, options);
}
