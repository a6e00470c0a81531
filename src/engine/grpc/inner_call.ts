import type { ServerError } from 'nice-grpc-common';
import { type Account, Held } from '../account.ts';
import { ErrorCode, StreamError } from '../http2/errors.ts';
import { maxInt31 } from '../http2/frames.ts';
import { createHpackDecoder } from '../http2/hpack/decoder.ts';
import { defaultLimits } from '../http2/limits.ts';
import { defaultPeerSettings } from '../http2/settings.ts';
import { type Serve, Stream, type StreamOwner } from '../http2/stream.ts';
import { cost, type Flow } from '../scheduler.ts';
import type { WebCall, WebCallHead } from '../web.ts';
import { prefixLength, withPrefix } from './methods.ts';

/** Where a call's messages come from. */
export interface InnerPlace {
  /** Charged for what the call holds. */
  account: Account;
  /** The connection's part of what the server does. */
  flow: Flow;
  authority: string;
  scheme: string;
  serve: Serve;
  /** Bytes that an open stream counts for. */
  streamCost: number;
  /** The stream that the call has come on, where its connection has any: that one counts among calls. */
  outer?: Stream | undefined;
}

/** A call that its connection can end, as it ends a stream. */
export interface InnerCall extends WebCall {
  readonly stream: Stream;
  /** Its connection is dropped within a second. */
  expire(): void;
  /** Its place, or what it holds, is wanted for others. */
  evict(): void;
}

/** Bytes of requests that wait to be taken before their sender is told to wait. */
const mostWaiting = 64 * 1024;

/** Opens a call on a stream whose peer is in this process. */
export function openInnerCall(place: InnerPlace, head: WebCallHead): InnerCall {
  return new Inner(place, head);
}

/** A stream whose call is carried by another one. */
class CarriedStream extends Stream {
  readonly #outer: Stream;

  constructor(owner: StreamOwner, parts: ConstructorParameters<typeof Stream>[2], outer: Stream) {
    super(1, owner, parts);
    this.#outer = outer;
  }

  override countCall(isCall: boolean): void {
    this.#outer.countCall(isCall);
  }
}

/** Both a stream's owner and its peer. */
class Inner implements StreamOwner, InnerCall {
  readonly flow: Flow;
  readonly account: Account;
  readonly stream: Stream;
  trailer: readonly string[] = [];
  /** Request bytes that nobody has taken. */
  #untaken = 0;
  #onTaken: (() => void) | undefined;
  #header: readonly string[] | undefined;
  readonly #headerSent = Promise.withResolvers<readonly string[]>();
  /** The lengths of the response's parts that wait: a message each. */
  readonly #parts: number[] = [];
  #reader: PromiseWithResolvers<Uint8Array | undefined> | undefined;
  #isOver = false;
  #failure: Error | undefined;

  constructor(
    { account, flow, authority, scheme, serve, streamCost, outer }: InnerPlace,
    { path, protocol, fields, timeout, fault }: WebCallHead,
  ) {
    this.account = account;
    this.flow = flow;
    const peer = defaultPeerSettings();
    const parts = { send: maxInt31, receive: maxInt31, peer };
    this.stream = outer ? new CarriedStream(this, parts, outer) : new Stream(1, this, parts);
    account.count('streams', 1);
    flow.spend(cost.stream);
    this.stream.hold(Held.calls, streamCost);
    this.stream.begin({ endStream: false });
    const web = { protocol, timeout, fault };
    const request = { method: 'POST', path, scheme, authority, fields, contentLength: undefined };
    this.stream.serve(serve(this.stream, { ...request, web }));
  }

  // What the caller does.

  async write(message: Uint8Array, { isLast } = { isLast: false }): Promise<void> {
    if (this.stream.remoteEnded) return;
    const framed = frame(message);
    this.#untaken += framed.length;
    this.stream.receiveData(framed, framed.length, isLast);
    if (isLast || this.#untaken < mostWaiting || this.stream.closed) return;
    await new Promise<void>((resolve) => (this.#onTaken = resolve));
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
    if (this.stream.queuedCost < defaultLimits.streamBufferSize / 2) this.stream.drained();
    this.#endIfAllIsTaken();
    return part.subarray(prefixLength);
  }

  // What its connection does.

  expire(): void {
    this.stream.events?.expire();
  }

  evict(): void {
    this.stream.events?.evicted?.();
  }

  // What whoever serves it does.

  sendHeaders(_stream: Stream, block: Buffer, endStream: boolean): void {
    const fields = fieldsOf(block);
    if (this.#header === undefined) {
      // Fields that are all of a response are its trailers.
      this.#header = endStream ? [] : fields;
      this.#headerSent.resolve(this.#header);
    }
    if (!endStream) return;
    this.trailer = fields;
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
    return stream.queuedCost < defaultLimits.streamBufferSize && this.account.mayGrow;
  }

  endQueued(): void {
    this.#endIfAllIsTaken();
  }

  /** What there is goes to its reader all the same. */
  abandon(): void {
    this.#endIfAllIsTaken();
  }

  giveBack(_stream: Stream, bytes: number): void {
    this.stream.receiveWindow.consume(bytes);
    this.#untaken -= bytes;
    if (this.#untaken < mostWaiting) this.#resume();
  }

  reset(_stream: Stream, code: number): void {
    if (this.stream.closed) return;
    this.#remove();
    const isTooMuch = code === ErrorCode.ENHANCE_YOUR_CALM;
    const name = isTooMuch ? 'ENHANCE_YOUR_CALM' : 'INTERNAL_ERROR';
    this.#finish(new StreamError(1, name, 'The call was reset'));
  }

  wake(): void {}

  #endIfAllIsTaken(): void {
    if (!this.stream.isEnding || this.stream.closed || this.#parts.length > 0) return;
    const { trailers } = this.stream;
    if (trailers) this.sendHeaders(this.stream, trailers, true);
    else this.#end();
  }

  /** The response is whole. */
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
    this.#onTaken?.();
    this.#onTaken = undefined;
  }
}

const empty = Buffer.alloc(0);
const decoder = createHpackDecoder({ maxHeaderListSize: maxInt31, cache: false });

/** Our own blocks, which insert nothing into a table. */
function fieldsOf(block: Buffer): readonly string[] {
  return decoder.decode(block).fields;
}

function frame(message: Uint8Array): Buffer {
  const framed = withPrefix(message);
  const bytes = Buffer.from(framed.buffer, framed.byteOffset, framed.length);
  bytes.writeUInt8(0);
  bytes.writeUInt32BE(message.length, 1);
  return bytes;
}
