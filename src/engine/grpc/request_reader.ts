import { ServerError, Status } from 'nice-grpc-common';
import type { Stream } from '../http2/stream.ts';
import { type EndReason, reasons } from './end_reason.ts';
import { decodeMessage, type MessageKind } from './message_decoder.ts';
import { isLarge, MessageAdmission } from './message_admission.ts';
import { broken, MessageReader, type RawMessage } from './message_reader.ts';
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

/**
 * A request of one message: it is whole when the caller has ended its side. Until then the message
 * waits as it came, and counts for that: what it becomes may take a thousand times as much.
 */
class OneRequest implements RequestReader {
  readonly #call: RequestOwner;
  readonly #reader: MessageReader;
  /** Of the first large message, and from then on. */
  #admission: MessageAdmission | undefined;
  #message: unknown;
  #hasMessage = false;
  #hasEnded = false;
  #isStopped = false;
  /** Bytes for which the caller has not been given room again. */
  #owed = 0;

  constructor(call: RequestOwner) {
    this.#call = call;
    this.#reader = new MessageReader(call.maxMessageSize);
  }

  begin(): void {}

  data(bytes: Buffer): void {
    this.#owed += bytes.length;
    if (!this.#isStopped) {
      this.#reader.push(bytes);
      try {
        this.#check();
        if (this.#call.stream.remoteEnded && !this.#isWaiting) this.#decode();
      } catch (error) {
        this.#call.end(reasons.malformed(error));
      }
      this.#reader.keep();
    }
    this.#giveRoom();
  }

  end(): void {
    this.#hasEnded = true;
    if (this.#isStopped) return;
    // One that is cut short need not wait for room.
    const { heldBytes } = this.#reader;
    if (this.#isWaiting && heldBytes >= (this.#reader.nextLength() ?? 0)) return;
    try {
      if (!this.#hasMessage) this.#decode();
      if (!this.#hasMessage) throw this.#missing();
    } catch (error) {
      return this.#call.end(reasons.malformed(error));
    }
    this.#enterSoon();
  }

  stop(): void {
    this.#isStopped = true;
    this.#reader.clear();
    this.#admission?.release();
    this.#call.stream.discard(this.#owed);
    this.#owed = 0;
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

  #onGranted(): void {
    if (this.#hasEnded) this.end();
    else this.#giveRoom();
  }

  #giveRoom(): void {
    const { stream } = this.#call;
    if (!this.#isWaiting && this.#owed > 0) {
      const owed = this.#owed;
      this.#owed = 0;
      stream.consume(owed);
    }
    stream.keep(Math.max(0, this.#reader.heldBytes - this.#owed));
  }

  #enterSoon(): void {
    const call = this.#call;
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
    this.#giveRoom();
    this.#call.enter(request);
  }

  /** Throws where it can be no message, or has become more than one. */
  #check(): void {
    const length = this.#reader.nextLength();
    if (length === undefined) return;
    const { heldBytes } = this.#reader;
    if (heldBytes > length) throw wrongCount('several');
    if (!isLarge(length)) return;
    this.#admission ??= new MessageAdmission(this.#call, () => this.#onGranted());
    this.#admission.receive(length, heldBytes);
  }

  get #isWaiting(): boolean {
    return this.#admission?.isWaiting ?? false;
  }

  #decode(): void {
    this.#admission?.decode();
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

/** Bytes of messages that may wait for their handler before the caller is held back. */
const mostWaiting = 64 * 1024;

/** A request of many messages: its handler begins at once, and takes them one by one. */
class ManyRequests implements RequestReader {
  readonly #call: RequestOwner;
  readonly #reader: MessageReader;
  /** Of the first large message, and from then on. */
  #admission: MessageAdmission | undefined;
  readonly #messages: RequestStream<unknown>;
  /** Bytes for which the caller has not been given room again. */
  #owed = 0;

  constructor(call: RequestOwner) {
    this.#call = call;
    this.#reader = new MessageReader(call.maxMessageSize);
    this.#messages = new RequestStream({
      flow: call.stream.flow,
      reader: this.#reader,
      mustWait: () => this.#mustWait(),
      decode: (raw) => this.#orFail(() => this.#decode(raw)),
      onAsk: () => this.#onAsk(),
      onPull: () => this.#giveRoom(),
      fail: (error) => call.end(reasons.malformed(error)),
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
    this.#admission?.release();
    this.#call.stream.discard(this.#owed);
    this.#owed = 0;
    this.#call.stream.keep(0);
  }

  async *empty(): AsyncGenerator<never> {}

  /** Whoever asks for a message has done with the one before. */
  #onAsk(): void {
    this.#call.inUse.take(0);
    this.#admission?.release();
  }

  /** Whether the next message, as far as it is known, waits for room. One that is cut short need not. */
  #mustWait(): boolean {
    const { heldBytes } = this.#reader;
    try {
      const length = this.#reader.nextLength();
      if (length === undefined || (this.#messages.hasEnded && heldBytes < length)) return false;
      if (isLarge(length)) {
        this.#admission ??= new MessageAdmission(this.#call, () => this.#onGranted());
        this.#admission.receive(length, heldBytes);
      }
    } catch {
      // Whoever reads it is told.
    }
    return this.#admission?.isWaiting ?? false;
  }

  #onGranted(): void {
    this.#messages.wake();
    this.#giveRoom();
  }

  #decode(raw: RawMessage): unknown {
    this.#admission?.decode();
    return decodeMessage(raw, this.#call);
  }

  /** As long as messages wait that nobody takes, the caller gets no room for more. */
  #giveRoom(): void {
    const { stream } = this.#call;
    const held = this.#reader.heldBytes;
    const wants = held < mostWaiting || this.#messages.isWaiting;
    if (this.#owed > 0 && wants && !this.#admission?.isWaiting) {
      const owed = this.#owed;
      this.#owed = 0;
      stream.consume(owed);
    }
    stream.keep(Math.max(0, held - this.#owed));
  }

  /** A message that is none ends the call, whatever its handler makes of it. */
  #orFail(decode: () => unknown): unknown {
    const fail = (error: unknown): never => {
      this.#call.end(reasons.malformed(error));
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
