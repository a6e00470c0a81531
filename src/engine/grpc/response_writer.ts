import { ServerError, Status } from 'nice-grpc-common';
import { copyWork, cost, inLaterTurn, spendInTurn } from '../scheduler.ts';
import type { Stream } from '../http2/stream.ts';
import { show, isAbort, serverErrorStatus } from '../errors.ts';
import { acceptedEncoding, type CallHead } from './call_head.ts';
import { isLarge } from '../admission.ts';
import { BodyBudget } from '../body_budget.ts';
import { letGo } from '../buffers.ts';
import { compress, type Encoding, withCompressionSlot } from './compression.ts';
import type { DistortedMessage, ResponseFault } from './call_faults.ts';
import { LazyMetadata } from './metadata.ts';
import { type BytesInUse, uncounted } from './messages.ts';
import { type MethodCodec, frame, prefixLength, writePrefix } from './methods.ts';
import {
  type CallStatus,
  checkHeader,
  type OwnFields,
  responseHeaders,
  trailers,
  trailersOnly,
} from './response_headers.ts';

interface ResponseParts {
  stream: Stream;
  head: CallHead;
  method: MethodCodec;
  /** Responses of more bytes are compressed; undefined compresses only if the request was compressed. */
  compressAbove: number | undefined;
  /** The memory of the decoded request. */
  inUse: Pick<BytesInUse, 'release'>;
  own: OwnFields;
  /** RESOURCE_EXHAUSTED: there is no memory for a response. */
  busy: () => ServerError;
}

const noFields: readonly string[] = [];
const noBytes = Buffer.alloc(0);
const none = new LazyMetadata(noFields);
/**
 * Methods that a warning was logged for, once each: callers may trigger it as often as they like, through echoed
 * metadata.
 */
const warned = new WeakSet<MethodCodec>();

/** If a call holds fewer bytes of messages, its response is encoded without delay. */
const minHeld = 16 * 1024;

/** Default of `compressAbove`: compression of smaller messages does not pay. */
const defaultAbove = 1024;

/** Sends the headers, messages and status of a call. */
export class ResponseWriter {
  readonly header = new LazyMetadata(noFields);
  readonly trailer = new LazyMetadata(noFields);
  /** The setting of the service; see Compression. */
  compress: boolean | undefined;
  /** See CallFaults. */
  fault: ResponseFault | undefined;
  readonly #stream: Stream;
  readonly #head: CallHead;
  readonly #method: MethodCodec;
  readonly #compressAbove: number | undefined;
  readonly #inUse: ResponseParts['inUse'];
  readonly #own: OwnFields;
  readonly #busy: () => ServerError;
  /** The encoding announced by the response headers. */
  #encoding: Encoding | undefined;
  #sentHeader = false;
  #countsFailure = false;
  #last: Uint8Array | undefined;
  /** Bytes of the last streamed response that are charged. */
  #kept = 0;
  /** The memory of a message that is sent whole. */
  #budget: BodyBudget | undefined;
  #isStopped = false;
  /** Pending while the output is full; resolved when it is writable again. */
  #writable: PromiseWithResolvers<void> | undefined;

  constructor({ stream, head, method, compressAbove, inUse, own, busy }: ResponseParts) {
    this.#stream = stream;
    this.#head = head;
    this.#method = method;
    this.#compressAbove = compressAbove;
    this.#inUse = inUse;
    this.#own = own;
    this.#busy = busy;
  }

  /** Sends the response headers, once. Throws a ServerError for metadata that cannot be sent. */
  sendHeader(): void {
    if (this.#sentHeader) return;
    this.#encoding = this.#chooseEncoding();
    const block = this.#headerBlock();
    this.#sentHeader = true;
    this.#stream.respond(block);
  }

  /** Throws a ServerError for metadata that cannot be sent. */
  checkMetadata(): void {
    if ((this.#sentHeader || this.header.isEmpty) && this.trailer.isEmpty) return;
    try {
      if (!this.#sentHeader) checkHeader(this.header, { peer: this.#stream, own: this.#own });
      this.trailer.encode();
    } catch (error) {
      throw this.#unsendable(error);
    }
  }

  /**
   * Sends a message. Returns false if the caller must wait for writable() before the next. Throws a ServerError, having
   * sent nothing of the message, if it cannot be encoded or compressed.
   */
  send(message: unknown): boolean | Promise<boolean> {
    const { closed, flow } = this.#stream;
    // Of a connection that is over; the call is told in a later turn.
    if (closed) return !this.#method.responseStream || this.#wait();
    // A response made from nothing that is charged would not be charged while it waits, either.
    if (!flow.isTurnOverfull || this.#stream.messageBytes < minHeld) return this.#sendNow(message);
    // Deferred: the response may be as large as the request, and many may be ready.
    return inLaterTurn(flow, () => this.#stream.closed || this.#sendNow(message));
  }

  #sendNow(message: unknown): boolean | Promise<boolean> {
    const framed = this.#encoded(message);
    // The handler has returned.
    if (!this.#method.responseStream) this.#inUse.release();
    this.sendHeader();
    if (this.fault?.message) {
      writePrefix(framed, 0);
      const distorted = this.fault.message(framed);
      return this.#stream.isInner ? this.#sendWhole(distorted) : this.#sendParts(distorted);
    }
    const length = framed.length - prefixLength;
    if (this.#encoding !== undefined && (this.compress ?? length > this.#ownRule())) {
      return this.#sendCompressed(framed, this.#encoding);
    }
    writePrefix(framed, 0);
    return this.#write(framed);
  }

  async #sendParts({ parts, sent }: DistortedMessage): Promise<boolean> {
    for await (const part of parts) {
      if (this.#stream.isEnding) return true;
      if (!this.#stream.write(part)) {
        this.#wait();
        await this.writable();
      }
    }
    await sent();
    return true;
  }

  /** The reader of a call in this process takes each part for a message. The whole waits for memory first. */
  async #sendWhole({ length, parts, sent }: DistortedMessage): Promise<boolean> {
    const stream = this.#stream;
    const budget = (this.#budget ??= this.#createBudget());
    const isAdmitted = !isLarge(length) || (await budget.admit(length));
    if (this.#isStopped || stream.isEnding) return true;
    if (!isAdmitted) throw this.#busy();
    budget.keep(length);
    try {
      const whole = await spendInTurn(stream.flow, copyWork(2 * length), () =>
        Buffer.allocUnsafeSlow(length),
      );
      let at = 0;
      for await (const part of parts) {
        whole.set(part, at);
        at += part.length;
        letGo(part);
      }
      if (!this.#isStopped && !stream.write(whole)) this.#wait();
    } finally {
      budget.keep(0);
      budget.release();
    }
    await this.writable();
    await sent();
    return true;
  }

  #createBudget(): BodyBudget {
    const stream = this.#stream;
    return new BodyBudget({
      account: stream.account,
      charge: (bytes) => stream.keepResponse(bytes),
      onWait: (isWaiting) => stream.wait(isWaiting),
      onAdmitted: (bytes) => stream.admit(bytes),
      onReleased: () => stream.endAdmission(),
    });
  }

  /** The call is cut: nothing waits any more. */
  stop(): void {
    this.#isStopped = true;
    this.#budget?.end();
    this.drained();
  }

  /** Resolves when the output accepts the next message, or when the call has ended. */
  async writable(): Promise<void> {
    await this.#writable?.promise;
  }

  /** The output accepts messages again. The writer may not be waiting yet. */
  drained(): void {
    this.#writable?.resolve();
  }

  /** Counts the cost of a failure, before the call ends if possible. */
  willFail(): void {
    if (this.#countsFailure) return;
    this.#countsFailure = true;
    this.#stream.flow.spend(cost.failure);
  }

  /** Sends the status after the queued messages. */
  end(status: CallStatus): void {
    this.#finish(status, false);
  }

  /** Sends the status at once and drops messages that do not fit into the peer's windows. */
  cut(status: CallStatus): void {
    this.#finish(status, true);
  }

  #finish(status: CallStatus, isCut: boolean): void {
    if (status.code !== Status.OK) this.willFail();
    let ended = status;
    let trailer = this.trailer;
    try {
      if (!trailer.encode().isWhole)
        this.#warn('trailers that are left out, as they are too large');
    } catch (error) {
      trailer = none;
      ended = this.#instead(ended, error);
    }
    if (!this.#sentHeader && (ended.code === Status.OK || !this.header.isEmpty)) {
      try {
        this.sendHeader();
      } catch (error) {
        ended = this.#instead(ended, error);
      }
    }
    if (this.#sentHeader) {
      const block = trailers(ended, trailer, this.#stream);
      if (isCut) this.#stream.abandon(block);
      else this.#stream.end(block, ended === status ? this.#last : undefined);
    } else {
      const more = this.#head.faultFields;
      const fields = { trailer, more, peer: this.#stream, own: this.#own };
      this.#stream.respond(trailersOnly(ended, fields), { endStream: true });
    }
  }

  #headerBlock(): Buffer {
    try {
      const encoding = this.fault?.encoding ?? this.#encoding;
      return responseHeaders(this.header, { peer: this.#stream, own: this.#own, encoding });
    } catch (error) {
      throw this.#unsendable(error);
    }
  }

  /** The status of a call whose metadata cannot be sent: a failed call keeps its status. */
  #instead(status: CallStatus, error: unknown): CallStatus {
    const unsendable = this.#unsendable(error);
    return status.code === Status.OK ? unsendable : status;
  }

  #unsendable(error: unknown): ServerError {
    if (error instanceof ServerError) return error;
    this.#warn(`metadata that cannot be sent: ${show(error)}`);
    return internalError(error);
  }

  #warn(of: string): void {
    if (warned.has(this.#method)) return;
    warned.add(this.#method);
    process.emitWarning(`${this.#method.path}: ${of}`);
  }

  #encoded(message: unknown): Uint8Array {
    try {
      return this.#method.encode(message, this.#stream.flow);
    } catch (cause) {
      throw unencodable(cause);
    }
  }

  /** The encoding of the request; if only the response is to be compressed, one that the caller accepts. */
  #chooseEncoding(): Encoding | undefined {
    // The only message is not to be compressed.
    if (this.compress === false && !this.#method.responseStream) return undefined;
    const { responseEncoding, fields } = this.#head;
    const asRequest = this.compress === undefined && this.#compressAbove === undefined;
    return responseEncoding ?? (asRequest ? undefined : acceptedEncoding(fields));
  }

  /** The server's threshold in bytes, if the service does not decide. */
  #ownRule(): number {
    if (this.#compressAbove !== undefined) return this.#compressAbove;
    return this.#head.responseEncoding === undefined ? Number.POSITIVE_INFINITY : defaultAbove;
  }

  async #sendCompressed(plain: Uint8Array, encoding: Encoding): Promise<boolean> {
    const bytes = plain.subarray(prefixLength);
    this.#stream.keepResponse(bytes.length);
    this.#stream.beginJob();
    this.#stream.flow.spend(cost.coding + copyWork(bytes.length));
    let packed: Buffer;
    try {
      packed = await withCompressionSlot({
        owner: this.#stream.account,
        bytes: bytes.length,
        work: async () => (this.#stream.closed ? noBytes : compress(bytes, encoding)),
      });
    } catch (cause) {
      throw unencodable(cause);
    } finally {
      this.#stream.endJob();
      this.#stream.keepResponse(0);
      letGo(plain);
    }
    return this.#write(frame(1, packed));
  }

  /** A suspended generator keeps the message that it yielded. */
  #keep(bytes: number): void {
    const kept = bytes < uncounted ? 0 : bytes;
    if (kept === this.#kept) return;
    this.#kept = kept;
    this.#stream.keepLast(kept);
  }

  /** The only message of a response is sent together with its status. */
  #write(framed: Uint8Array): boolean {
    const { flow } = this.#stream;
    flow.spend(cost.response + copyWork(framed.length));
    if (!this.#method.responseStream) {
      this.#last = framed;
      return true;
    }
    const goOn = this.#stream.write(framed);
    this.#keep(framed.length);
    if (goOn && !flow.isSpent) return true;
    // Other connections go first.
    if (goOn) flow.wait(() => this.drained());
    return this.#wait();
  }

  /** The writer must wait for drained(). */
  #wait(): false {
    this.#writable = Promise.withResolvers();
    return false;
  }
}

function unencodable(cause: unknown): ServerError {
  process.emitWarning(`Cannot encode a response: ${show(cause)}`);
  return internalError(cause);
}

/** The cause goes to the log only. */
function internalError(cause: unknown): ServerError {
  return Object.assign(new ServerError(Status.INTERNAL, 'Internal error'), { cause });
}

/** The status of a successful call. */
export const fine: CallStatus = { code: Status.OK, details: '' };

/**
 * The status for a thrown value, which may be anything. Never throws. Like nice-grpc, it logs a warning for values
 * that a service should not throw.
 */
export function statusOf(thrown: unknown, path: string): CallStatus {
  const status = serverErrorStatus(thrown);
  if (status) return status;
  if (isAbort(thrown)) {
    return { code: Status.CANCELLED, details: 'The operation was cancelled' };
  }
  process.emitWarning(`${path}: a thrown value that is not a ServerError: ${show(thrown)}`);
  return { code: Status.UNKNOWN, details: 'Unknown server error occurred' };
}
