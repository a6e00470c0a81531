import { Held } from '../account.ts';
import type { Stream } from '../http2/stream.ts';
import type { MessageRoom } from './methods.ts';

/** Bytes of messages that are a part of what any call costs. */
export const smallMessage = 1024;

/** What a call's handler has of its requests, as its connection's account is charged for it. */
export class BytesInUse implements MessageRoom {
  /** Set before a message is decoded. */
  most = 0;
  isCopied = false;
  readonly #stream: Stream;
  #message = 0;
  #reserved = 0;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  /** The message at hand has so many, in place of the one before. */
  take(bytes: number): void {
    this.#message = bytes < smallMessage ? 0 : bytes;
    this.#count();
  }

  /** So many are kept for it, though it may have fewer now. */
  reserve(bytes: number): void {
    this.#reserved = bytes;
    this.#count();
  }

  /** What counts for the message at hand. */
  get held(): number {
    return Math.max(this.#message, this.#reserved);
  }

  /** Of what is kept for it, what it does not have. */
  get spare(): number {
    return Math.max(0, this.#reserved - this.#message);
  }

  spend(work: number): void {
    this.#stream.flow.spend(work);
  }

  /** The service keeps so many of those before. */
  retain(bytes: number): void {
    this.#stream.hold(Held.retained, bytes);
  }

  #count(): void {
    this.#stream.hold(Held.messages, this.held);
  }
}
