import { ServerError, Status } from 'nice-grpc-common';
import type { Stream } from '../http2/stream.ts';
import { type EndReason, reasons } from './end_reason.ts';
import {
  decodeMessage,
  type MessageKind,
  isLarge,
  MessageAdmission,
  MessageReader,
  type RawMessage,
} from './messages.ts';
import { broken } from '../errors.ts';
import { RequestStream } from './request_stream.ts';

/** The call, as the request's side of it sees it. */
export interface RequestOwner extends MessageKind {
  readonly stream: Stream;
  /** The handler can begin, with its request. */
  enter(request: unknown): void;
  end(reason: EndReason): void;
}

/** The request's side of a call: makes messages of its body. */
export interface RequestReader {
  /** The headers are there. */
  begin(): void;
  data(bytes: Buffer): void;
  end(): void;
  /** Nothing of the request is of use any more; whoever still waits for it gets the error. */
  stop(error: Error): void;
  /** What a method of this kind gets when there is nothing to give it. */
  empty(): unknown;
}

/** For requests of one message, or of many. */
export function createRequestReader(call: RequestOwner): RequestReader {
  return call.method.requestStream ? new ManyRequests(call) : new OneRequest(call);
}

/** The body of a request as it waits: what of it the caller has room for again, and what there must be room for first. */
abstract class RequestBody {
  readonly call: RequestOwner;
  readonly reader: MessageReader;
  /** Of the first large message, and from then on. */
  #admission: MessageAdmission | undefined;
  /** Bytes for which the caller has not been given room again. */
  #owed = 0;

  constructor(call: RequestOwner) {
    this.call = call;
    this.reader = new MessageReader(call.maxMessageSize);
  }

  /** There is room for the message that waited for it. */
  abstract onGranted(): void;

  /** Whether the message at hand waits for room. */
  get waitsForRoom(): boolean {
    return this.#admission?.isWaiting ?? false;
  }

  /** So many bytes have come. */
  owe(bytes: number): void {
    this.#owed += bytes;
  }

  /** A message of so many bytes comes next, of which the reader has some. */
  expect(length: number): void {
    if (!isLarge(length)) return;
    this.#admission ??= new MessageAdmission(this.call, () => this.onGranted());
    this.#admission.receive(length, this.reader);
  }

  /** Gives a message that is whole as it is; see decodeMessage(). */
  decode(raw: RawMessage): unknown {
    this.#admission?.decode();
    return decodeMessage(raw, this.call);
  }

  /** Nobody has the message at hand any more. */
  release(): void {
    this.#admission?.release();
  }

  /** Gives the caller room for what is read, where it is `wanted` and nothing waits. */
  giveRoom(wanted = true): void {
    const { stream } = this.call;
    if (this.#owed > 0 && wanted && !this.waitsForRoom) {
      const owed = this.#owed;
      this.#owed = 0;
      stream.consume(owed);
    }
    stream.keep(Math.max(0, this.reader.roomBytes - this.#owed));
  }

  /** Forgets what is not read, and gives no room for more. */
  drop(): void {
    this.reader.clear();
    this.release();
    this.call.stream.discard(this.#owed);
    this.#owed = 0;
    this.call.stream.keep(0);
  }
}

/**
 * A request of one message: it is whole when the caller has ended its side. Until then the message
 * waits as it came, and counts for that: what it becomes may take a thousand times as much.
 */
class OneRequest extends RequestBody implements RequestReader {
  #message: unknown;
  #hasMessage = false;
  #hasEnded = false;
  #isStopped = false;

  begin(): void {}

  data(bytes: Buffer): void {
    this.owe(bytes.length);
    if (!this.#isStopped) {
      this.reader.push(bytes);
      try {
        this.#check();
        if (this.call.stream.remoteEnded && !this.waitsForRoom) this.#decode();
      } catch (error) {
        this.call.end(reasons.malformed(error));
      }
      this.reader.keep();
    }
    this.giveRoom();
  }

  end(): void {
    this.#hasEnded = true;
    if (this.#isStopped) return;
    // One that is cut short need not wait for room.
    const { heldBytes } = this.reader;
    if (this.waitsForRoom && heldBytes >= (this.reader.nextLength() ?? 0)) return;
    try {
      if (!this.#hasMessage) this.#decode();
      if (!this.#hasMessage) throw this.#missing();
    } catch (error) {
      return this.call.end(reasons.malformed(error));
    }
    this.#enterSoon();
  }

  stop(): void {
    this.#isStopped = true;
    this.drop();
  }

  /** What cannot be empty is not there: middleware alone see it, as no handler runs. */
  empty(): unknown {
    try {
      return this.call.method.decode(new Uint8Array(0));
    } catch {
      return undefined;
    }
  }

  override onGranted(): void {
    if (this.#hasEnded) this.end();
    else this.giveRoom();
  }

  #enterSoon(): void {
    const { call } = this;
    const message = this.#message;
    this.#message = undefined;
    if (message instanceof Promise) {
      message.then(
        (request) => this.#enter(request),
        (error) => call.end(reasons.malformed(error)),
      );
    } else this.#enter(message);
  }

  #enter(request: unknown): void {
    this.giveRoom();
    this.call.enter(request);
  }

  /** Throws where it can be no message, or has become more than one. */
  #check(): void {
    const length = this.reader.nextLength();
    if (length === undefined) return;
    if (this.reader.heldBytes > length) throw wrongCount('several');
    this.expect(length);
  }

  #decode(): void {
    const raw = this.reader.next();
    if (!raw) return;
    this.#hasMessage = true;
    this.#message = this.decode(raw);
    // Whoever waits for it does so later; until then it has failed for nobody.
    if (this.#message instanceof Promise) this.#message.catch(() => {});
  }

  #missing(): ServerError {
    return this.reader.heldBytes > 0 ? broken('a message that is cut short') : wrongCount('none');
  }
}

function wrongCount(count: string): ServerError {
  return new ServerError(
    Status.UNIMPLEMENTED,
    `Expected exactly one request message, got ${count}`,
  );
}

/** Bytes of messages that may wait for their handler before the caller is held back. */
const mostWaiting = 64 * 1024;

/** A request of many messages: its handler begins at once, and takes them one by one. */
class ManyRequests extends RequestBody implements RequestReader {
  readonly #messages: RequestStream<unknown>;

  constructor(call: RequestOwner) {
    super(call);
    this.#messages = new RequestStream({
      flow: call.stream.flow,
      reader: this.reader,
      mustWait: () => this.#mustWait(),
      decode: (raw) => this.#orFail(() => this.decode(raw)),
      onAsk: () => this.#onAsk(),
      onPull: () => this.#giveRoom(),
      fail: (error) => call.end(reasons.malformed(error)),
    });
  }

  begin(): void {
    this.call.enter(this.#messages);
  }

  data(bytes: Buffer): void {
    this.owe(bytes.length);
    if (!this.#messages.isLeft) {
      this.reader.push(bytes);
      this.#messages.wake();
      this.reader.keep();
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
    this.drop();
  }

  async *empty(): AsyncGenerator<never> {}

  override onGranted(): void {
    this.#messages.wake();
    this.#giveRoom();
  }

  /**
   * Whoever asks for a message needs no room for the one before any more; but it goes on to count: a loop that
   * waits for the next one has it in its variable.
   */
  #onAsk(): void {
    this.release();
  }

  /** Whether the next message, as far as it is known, waits for room. One that is cut short need not. */
  #mustWait(): boolean {
    try {
      const length = this.reader.nextLength();
      if (length === undefined) return false;
      if (this.#messages.hasEnded && this.reader.heldBytes < length) return false;
      this.expect(length);
    } catch {
      // Whoever reads it is told.
    }
    return this.waitsForRoom;
  }

  /** As long as messages wait that nobody takes, the caller gets no room for more. */
  #giveRoom(): void {
    this.giveRoom(this.reader.heldBytes < mostWaiting || this.#messages.isWaiting);
  }

  /** A message that is none ends the call, whatever its handler makes of it. */
  #orFail(decode: () => unknown): unknown {
    const fail = (error: unknown): never => {
      this.call.end(reasons.malformed(error));
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
