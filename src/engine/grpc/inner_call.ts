import type { ServerError } from 'nice-grpc-common';
import type { Account } from '../account.ts';
import { Held } from '../held.ts';
import type { ConnectionFaults } from '../http2/connection_faults.ts';
import { ErrorCode, StreamError } from '../http2/errors.ts';
import { maxInt31 } from '../http2/frames.ts';
import { createHpackDecoder } from '../http2/hpack/decoder.ts';
import { fixedLimits } from '../http2/limits.ts';
import { defaultPeerSettings } from '../http2/settings.ts';
import { type Serve, Stream, type StreamOwner } from '../http2/stream.ts';
import { cost, type Flow } from '../scheduler.ts';
import type { WebCall, WebCallHead } from '../web.ts';
import { frame, prefixLength } from './methods.ts';

/** What a call takes from the connection of its request. */
export interface InnerPlace {
  /** Charged for the memory that the call holds. */
  account: Account;
  /** The connection's share of the event loop. */
  flow: Flow;
  authority: string;
  scheme: string;
  serve: Serve;
  /** The charge of an open stream in bytes. */
  streamCost: number;
  /** The HTTP/2 stream of the request, which is counted as the call; undefined over HTTP/1.1. */
  outer?: Stream | undefined;
  /** Closes the connection of a request without such a stream. */
  faults?: ConnectionFaults | undefined;
}

/** A call that its connection can end like a stream. */
export interface InnerCall extends WebCall {
  readonly stream: Stream;
  /** The connection is closed within a second: the call must end now. */
  expire(): void;
  /** The call must end at once, to make room for others. */
  evict(): void;
}

/** Bytes of request messages that are buffered before their writer must wait. */
const maxWaiting = 64 * 1024;

/** Opens a call on a stream whose peer is inside this process. */
export function openInnerCall(place: InnerPlace, head: WebCallHead): InnerCall {
  return new Inner(place, head);
}

/** The stream of an inner call, whose messages were admitted with the body of the request. */
class InnerStream extends Stream {
  override get isInner(): boolean {
    return true;
  }

  /** HTTP/1.1 can only close the connection. */
  override breakOff(_code: number): void {
    this.faults.retire();
  }
}

/** The stream of a call that another stream carries; the other one is counted as the call. */
class CarriedStream extends InnerStream {
  readonly #outer: Stream;

  constructor(owner: StreamOwner, parts: ConstructorParameters<typeof Stream>[2], outer: Stream) {
    super(1, owner, parts);
    this.#outer = outer;
    outer.carried = this;
  }

  override countCall(isCall: boolean): void {
    this.#outer.countCall(isCall);
  }

  override breakOff(code: number): void {
    const { events } = this.#outer;
    this.#outer.reset(code);
    events?.reset(code);
  }
}

/** Both the owner and the peer of a stream. */
class Inner implements StreamOwner, InnerCall {
  readonly flow: Flow;
  readonly account: Account;
  readonly stream: Stream;
  readonly drop: () => void;
  readonly retire: () => void;
  trailer: readonly string[] = [];
  /** Request bytes that have not been consumed. */
  #unconsumed = 0;
  #onConsumed: (() => void) | undefined;
  #header: readonly string[] | undefined;
  readonly #headerSent = Promise.withResolvers<readonly string[]>();
  /** The lengths of the queued parts of the response; each is one message. */
  readonly #parts: number[] = [];
  #reader: PromiseWithResolvers<Uint8Array | undefined> | undefined;
  #isOver = false;
  #failure: Error | undefined;

  constructor(
    { account, flow, authority, scheme, serve, streamCost, outer, faults }: InnerPlace,
    { path, protocol, isJson, fields, timeout, fault }: WebCallHead,
  ) {
    this.account = account;
    this.flow = flow;
    this.drop = () => (outer ? outer.faults.drop() : faults?.drop());
    this.retire = () => (outer ? outer.faults.retire() : faults?.retire());
    const peer = defaultPeerSettings();
    const parts = { send: maxInt31, receive: maxInt31, peer };
    this.stream = outer ? new CarriedStream(this, parts, outer) : new InnerStream(1, this, parts);
    flow.spend(cost.stream);
    this.stream.hold(Held.calls, streamCost);
    this.stream.begin({ endStream: false });
    const web = { protocol, isJson, timeout, fault };
    const request = { method: 'POST', path, scheme, authority, fields, contentLength: undefined };
    this.stream.serve(serve(this.stream, { ...request, web }));
  }

  // Called by the code that serves the request.

  async write(message: Uint8Array, { isLast } = { isLast: false }): Promise<void> {
    if (!this.isRequestOver) await this.#receive(frame(0, message), isLast);
  }

  async writeFramed(messages: Buffer): Promise<void> {
    if (!this.isRequestOver) await this.#receive(messages, false);
  }

  get isRequestOver(): boolean {
    return this.stream.remoteEnded || this.stream.isEnding;
  }

  #receive(framed: Buffer, isLast: boolean): Promise<void> | undefined {
    this.#unconsumed += framed.length;
    this.stream.receiveData(framed, framed.length, isLast);
    if (isLast || this.#unconsumed < maxWaiting || this.stream.closed) return undefined;
    return new Promise<void>((resolve) => (this.#onConsumed = resolve));
  }

  end(): void {
    if (!this.stream.remoteEnded) this.stream.receiveData(empty, 0, true);
  }

  refuse(error: ServerError): void {
    this.stream.events?.refused?.(error);
  }

  cancel(): void {
    if (this.stream.closed) return;
    this.#remove();
    this.stream.events?.reset(ErrorCode.CANCEL);
    this.#finish(new StreamError(1, 'CANCEL', 'The call was cancelled'));
  }

  header(): Promise<readonly string[]> {
    return this.#headerSent.promise;
  }

  async next(): Promise<Uint8Array | undefined> {
    return (await this.nextFramed())?.subarray(prefixLength);
  }

  async nextFramed(): Promise<Uint8Array | undefined> {
    // The last part has been sent, or else is charged as long as it waits; see send().
    if (this.stream.queuedCost < fixedLimits.streamBufferSize / 2) this.stream.drained();
    const part = this.#take();
    if (part) return part;
    if (this.#failure) throw this.#failure;
    if (this.#isOver) return undefined;
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  #take(): Uint8Array | undefined {
    const length = this.#parts.shift();
    if (length === undefined) return undefined;
    let part: Uint8Array = empty;
    this.stream.moveTo({ bytes: (bytes) => void (part = bytes) }, length);
    this.#endIfComplete();
    return part;
  }

  // Called by the connection.

  expire(): void {
    this.stream.events?.expire();
  }

  evict(): void {
    this.stream.events?.evicted?.();
  }

  // Called by the stream and its handler.

  sendHeaders(_stream: Stream, block: Buffer, endStream: boolean): void {
    const fields = fieldsOf(block);
    const isFirst = this.#header === undefined;
    // A response of one header block has trailers only, but for the fields that each response has.
    const end = isFirst && endStream ? Math.max(0, fields.indexOf('grpc-status')) : 0;
    if (isFirst) {
      this.#header = endStream ? fields.slice(0, end) : fields;
      this.#headerSent.resolve(this.#header);
    }
    if (!endStream) return;
    this.trailer = fields.slice(end);
    this.#end();
  }

  send(stream: Stream, bytes: Uint8Array): boolean {
    this.#parts.push(bytes.length);
    stream.queue(bytes);
    if (this.#reader) {
      const reader = this.#reader;
      this.#reader = undefined;
      reader.resolve(this.#take());
    }
    // The writer waits until the reader has passed on a large part, and asks for the next.
    const waiting = Math.max(bytes.length, stream.queuedCost);
    return waiting < fixedLimits.streamBufferSize && this.account.mayGrow;
  }

  endQueued(): void {
    this.#endIfComplete();
  }

  /** The reader still gets the queued messages. */
  abandon(): void {
    this.#endIfComplete();
  }

  giveBack(_stream: Stream, bytes: number): void {
    this.stream.receiveWindow.consume(bytes);
    this.#unconsumed -= bytes;
    if (this.#unconsumed < maxWaiting) this.#resume();
  }

  reset(_stream: Stream, code: number): void {
    if (this.stream.closed) return;
    this.#remove();
    const isTooMuch = code === ErrorCode.ENHANCE_YOUR_CALM;
    const name = isTooMuch ? 'ENHANCE_YOUR_CALM' : 'INTERNAL_ERROR';
    this.#finish(new StreamError(1, name, 'The call was reset'));
  }

  wake(): void {}

  #endIfComplete(): void {
    if (!this.stream.isEnding || this.stream.closed || this.#parts.length > 0) return;
    const { trailers } = this.stream;
    if (trailers) this.sendHeaders(this.stream, trailers, true);
    else this.#end();
  }

  /** Ends the call when its response is complete. */
  #end(): void {
    this.#remove();
    this.stream.events?.sent();
    this.#finish();
  }

  #remove(): void {
    this.#parts.length = 0;
    this.stream.dropQueue();
    this.stream.close();
    this.stream.release();
  }

  #finish(failure?: Error): void {
    this.#isOver = true;
    this.#failure = failure;
    this.#resume();
    if (this.#header === undefined) this.#headerSent.resolve([]);
    if (failure) this.#reader?.reject(failure);
    else this.#reader?.resolve(undefined);
    this.#reader = undefined;
  }

  #resume(): void {
    this.#onConsumed?.();
    this.#onConsumed = undefined;
  }
}

const empty = Buffer.alloc(0);
const decoder = createHpackDecoder({ maxHeaderListSize: maxInt31, cache: false });

/** The encoder's own blocks never use the dynamic table. */
function fieldsOf(block: Buffer): readonly string[] {
  return decoder.decode(block).fields;
}
