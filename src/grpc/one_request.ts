import { ServerError, Status } from 'nice-grpc-common';
import { decodeMessage } from './message_decoder.ts';
import { broken, MessageReader } from './message_reader.ts';
import type { RequestOwner, RequestReader } from './request_reader.ts';

/**
 * A request of one message: it is whole when the caller has ended its side. Until then the message
 * waits as it came, and counts for that: what it becomes may take a thousand times as much.
 */
export class OneRequest implements RequestReader {
  readonly #call: RequestOwner;
  readonly #reader: MessageReader;
  #message: unknown;
  #hasMessage = false;
  #isStopped = false;

  constructor(call: RequestOwner) {
    this.#call = call;
    this.#reader = new MessageReader(call.maxMessageSize);
  }

  begin(): void {}

  data(bytes: Buffer): void {
    const { stream } = this.#call;
    if (!this.#isStopped) {
      this.#reader.push(bytes);
      try {
        if (stream.remoteEnded) this.#decode();
        else this.#check();
      } catch (error) {
        this.#call.fail(error);
      }
      this.#reader.keep();
      stream.keep(this.#reader.heldBytes);
    }
    stream.consume(bytes.length);
  }

  end(): void {
    if (this.#isStopped) return;
    const call = this.#call;
    try {
      if (!this.#hasMessage) this.#decode();
      if (!this.#hasMessage) throw this.#missing();
    } catch (error) {
      return call.fail(error);
    }
    const message = this.#message;
    this.#message = undefined;
    if (message instanceof Promise) {
      message.then(
        (request) => this.#enter(request),
        (error) => call.fail(error),
      );
    } else this.#enter(message);
  }

  stop(): void {
    this.#isStopped = true;
    this.#reader.clear();
    this.#call.stream.keep(0);
  }

  /** What cannot be empty is not there: middleware alone see it, as no handler runs. */
  empty(): unknown {
    try {
      return this.#call.method.decode(new Uint8Array(0));
    } catch {
      return undefined;
    }
  }

  #enter(request: unknown): void {
    this.#call.stream.keep(0);
    this.#call.enter(request);
  }

  /** Throws where it can be no message, or has become more than one. */
  #check(): void {
    const length = this.#reader.nextLength();
    if (length !== undefined && this.#reader.heldBytes > length) throw wrongCount('several');
  }

  #decode(): void {
    this.#check();
    const raw = this.#reader.next();
    if (!raw) return;
    this.#hasMessage = true;
    this.#message = decodeMessage(raw, this.#call);
    // Whoever waits for it does so later; until then it has failed for nobody.
    if (this.#message instanceof Promise) this.#message.catch(() => {});
  }

  #missing(): ServerError {
    return this.#reader.heldBytes > 0 ? broken('a message that is cut short') : wrongCount('none');
  }
}

function wrongCount(count: string): ServerError {
  return new ServerError(Status.UNIMPLEMENTED, `Cannot take ${count} where one message is meant`);
}
