import { Held } from '../account.ts';
import type { Stream } from '../http2/stream.ts';
import type { MessageRoom } from './methods.ts';

/** Bytes of messages that are a part of what any call costs. */
export const smallMessage = 1024;

/** What a call's handler has of its requests, as it counts against the byte budget. */
export class BytesInUse implements MessageRoom {
  /** Set before a message is decoded. */
  most = 0;
  isCopied = false;
  readonly #stream: Stream;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  /** The message at hand has so many, in place of the one before. */
  take(bytes: number): void {
    this.#stream.hold(Held.messages, bytes < smallMessage ? 0 : bytes);
  }

  spend(work: number): void {
    this.#stream.flow.spend(work);
  }

  /** The service keeps so many of those before. */
  retain(bytes: number): void {
    this.#stream.hold(Held.retained, bytes);
  }
}
