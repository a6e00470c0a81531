import { decodeMessage } from './message_decoder.ts';
import { MessageReader } from './message_reader.ts';
import type { RequestOwner, RequestReader } from './request_reader.ts';
import { RequestStream } from './request_stream.ts';

/** Bytes of messages that may wait for their handler before the caller is held back. */
const mostWaiting = 64 * 1024;

/** A request of many messages: its handler begins at once, and takes them one by one. */
export class ManyRequests implements RequestReader {
  readonly #call: RequestOwner;
  readonly #reader: MessageReader;
  readonly #messages: RequestStream<unknown>;
  /** Bytes for which the caller has not been given room again. */
  #owed = 0;

  constructor(call: RequestOwner) {
    this.#call = call;
    this.#reader = new MessageReader(call.maxMessageSize);
    this.#messages = new RequestStream({
      flow: call.stream.flow,
      reader: this.#reader,
      decode: (raw) => this.#orFail(() => decodeMessage(raw, call)),
      onPull: () => this.#giveRoom(),
      fail: (error) => call.fail(error),
    });
  }

  begin(): void {
    this.#call.enter(this.#messages);
  }

  data(bytes: Buffer): void {
    this.#owed += bytes.length;
    if (!this.#messages.isLeft) {
      this.#reader.push(bytes);
      this.#messages.wake();
      this.#reader.keep();
    }
    this.#giveRoom();
  }

  /**
   * Some clients end a stream and then reset it when they mean to cancel the call. A turn later that is
   * known, and no handler takes half a request for the whole.
   */
  end(): void {
    // Of a call that is refused nobody will ask, and it would be kept until then.
    if (this.#messages.isLeft) return;
    setImmediate(() => {
      if (!this.#messages.isLeft) this.#messages.end();
    });
  }

  stop(error: Error): void {
    this.#messages.fail(error);
    this.#reader.clear();
    this.#giveRoom();
  }

  async *empty(): AsyncGenerator<never> {}

  /** As long as messages wait that nobody takes, the caller gets no room for more. */
  #giveRoom(): void {
    const { stream } = this.#call;
    const held = this.#reader.heldBytes;
    if (this.#owed > 0 && (held < mostWaiting || this.#messages.isWaiting)) {
      const owed = this.#owed;
      this.#owed = 0;
      stream.consume(owed);
    }
    stream.keep(Math.max(0, held - this.#owed));
  }

  /** A message that is none ends the call, whatever its handler makes of it. */
  #orFail(decode: () => unknown): unknown {
    const fail = (error: unknown): never => {
      this.#call.fail(error);
      throw error;
    };
    try {
      const message = decode();
      return message instanceof Promise ? message.catch(fail) : message;
    } catch (error) {
      return fail(error);
    }
  }
}
