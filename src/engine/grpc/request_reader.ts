import { ServerError, Status } from 'nice-grpc-common';
import type { Stream } from '../http2/stream.ts';
import { isLarge } from '../admission.ts';
import { type EndReason, reasons } from './end_reason.ts';
import {
  decodeMessage,
  type MessageKind,
  MessageAdmission,
  MessageReader,
  type RawMessage,
} from './messages.ts';
import { malformed } from '../errors.ts';
import { RequestStream } from './request_stream.ts';

/** The call, as its request reader sees it. */
export interface RequestOwner extends MessageKind {
  readonly stream: Stream;
  /** Starts the handler with its request. */
  enter(request: unknown): void;
  end(reason: EndReason): void;
}

/** Reads the request messages of a call from its stream. */
export interface RequestReader {
  /** The headers have arrived. */
  begin(): void;
  data(bytes: Buffer): void;
  end(): void;
  /** Drops the request; pending reads fail with the error. */
  stop(error: Error): void;
  /** The request that a method of this kind gets when there is none. */
  empty(): unknown;
}

/** Creates the reader of a single request or of a request stream. */
export function createRequestReader(call: RequestOwner): RequestReader {
  return call.method.requestStream ? new ManyRequests(call) : new OneRequest(call);
}

/** The buffered body of a request, with flow control and admission. */
abstract class RequestBody {
  readonly call: RequestOwner;
  readonly reader: MessageReader;
  /** Created with the first large message. */
  #admission: MessageAdmission | undefined;
  /** Bytes received and not yet returned to the stream window. */
  #owed = 0;

  constructor(call: RequestOwner) {
    this.call = call;
    this.reader = new MessageReader(call.maxMessageSize);
  }

  /** Called when the queued message is admitted. */
  abstract onGranted(): void;

  /** True while the current message waits for admission. */
  get waitsForRoom(): boolean {
    return this.#admission?.isWaiting ?? false;
  }

  /** True while a large message is received or in use. */
  get isUsingLarge(): boolean {
    return this.#admission?.isActive ?? false;
  }

  /** Counts received bytes. */
  owe(bytes: number): void {
    this.#owed += bytes;
  }

  /** Starts admission of the next message of `length` bytes, if it is large. */
  expect(length: number): void {
    if (!isLarge(length)) return;
    this.#admission ??= new MessageAdmission(this.call, () => this.onGranted());
    this.#admission.receive(length, this.reader);
  }

  /** Decodes a complete message; see decodeMessage(). */
  decode(raw: RawMessage): unknown {
    this.#admission?.decode();
    return decodeMessage(raw, this.call);
  }

  /** Releases the current message. */
  release(): void {
    this.#admission?.release();
    this.call.inUse.reserve(0);
  }

  /** Returns consumed bytes to the stream window, unless a message waits for admission. */
  giveRoom(wanted = true): void {
    const { stream } = this.call;
    if (this.#owed > 0 && wanted && !this.waitsForRoom) {
      const owed = this.#owed;
      this.#owed = 0;
      stream.consume(owed);
    }
    stream.keep(Math.max(0, this.reader.capacity - this.#owed));
  }

  /** Drops unread bytes, without opening the window. */
  drop(): void {
    this.reader.clear();
    this.release();
    this.call.stream.discard(this.#owed);
    this.#owed = 0;
    this.call.stream.keep(0);
  }
}

/**
 * A single request. It is complete when the caller ends its side; until then it is kept and charged in encoded form,
 * as the decoded form may take a thousand times as much.
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
      this.reader.push(bytes, this.call.stream.isInner);
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
    // A truncated message need not be admitted.
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

  /** Undefined, for the middleware only: no handler runs without a request. */
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

  /** Throws if the message is malformed, or if there is more than one. */
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
    // The message may be awaited later; until then a failure is not an unhandled rejection.
    if (this.#message instanceof Promise) this.#message.catch(() => {});
  }

  #missing(): ServerError {
    return this.reader.heldBytes > 0
      ? malformed('a message that is cut short')
      : wrongCount('none');
  }
}

function wrongCount(count: string): ServerError {
  return new ServerError(
    Status.UNIMPLEMENTED,
    `Expected exactly one request message, got ${count}`,
  );
}

/** Bytes of unread messages above which the stream window stays closed. */
const maxWaiting = 64 * 1024;

/** A request stream: its handler starts at once and reads the messages one by one. */
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
      this.reader.push(bytes, this.call.stream.isInner);
      this.#messages.wake();
      this.reader.keep();
    }
    this.#giveRoom();
  }

  /**
   * Some clients end the stream and then send RST_STREAM to cancel a call. Waiting for the end of the turn avoids
   * handling half of a request as a complete one.
   */
  end(): void {
    // Nothing reads a refused call, and this callback would keep it in memory.
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
   * Reading the next message releases the admission of the previous one, which stays charged: a `for await` loop
   * still has it in its variable.
   */
  #onAsk(): void {
    this.release();
  }

  /** True if the next message waits for admission. A truncated message need not. */
  #mustWait(): boolean {
    try {
      const length = this.reader.nextLength();
      if (length === undefined) return false;
      if (this.#messages.hasEnded && this.reader.heldBytes < length) return false;
      this.expect(length);
    } catch {
      // The reader gets the error when it reads.
    }
    return this.waitsForRoom;
  }

  /**
   * Keeps the stream window closed while messages are unread, and in this process while a large message is in use: the
   * next one is only read when the handler asks for it, as it is admitted when it is read.
   */
  #giveRoom(): void {
    const isUsed = this.call.stream.isInner && this.isUsingLarge;
    this.giveRoom((this.reader.heldBytes < maxWaiting && !isUsed) || this.#messages.isWaiting);
  }

  /** A malformed message ends the call, even if the handler catches the error. */
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
