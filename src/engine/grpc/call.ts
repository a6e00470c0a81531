import { AbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';
import type { Placed } from '../bag.ts';
import { ConnectionError, ErrorCode, type StreamError } from '../http2/errors.ts';
import { CallersFault, isAbort, show } from '../errors.ts';
import type { Stream, StreamEvents } from '../http2/stream.ts';
import { BytesInUse } from './bytes_in_use.ts';
import { type CallHead, oversized } from './call_head.ts';
import { type AnyMiddleware, type DescribedMethod, throughChain } from './chain.ts';
import type { ConnectionInfo } from '../net/connection_info.ts';
import type { Encoding } from './compression.ts';
import { type Compression, createContext, type EngineContext, type OnSent } from './context.ts';
import type { Deadline, Deadlines } from './deadlines.ts';
import { type Handler, handle, type Interruptible } from './innermost.ts';
import type { MethodCodec } from './methods.ts';
import { createRequestReader, type RequestOwner, type RequestReader } from './request_reader.ts';
import { respondAll, respondOnce, respondThroughChain, type Respondent } from './respond.ts';
import { ResponseWriter } from './response_writer.ts';
import { type CallStatus, fine, statusOf } from './status.ts';

/** A method as it is served. */
export interface Method extends MethodCodec, DescribedMethod {
  chain: readonly AnyMiddleware[];
  handler: Handler;
}

/** What all calls of a server share. */
export interface CallDeps {
  deadlines: Deadlines;
  maxMessageSize: number;
  compressAbove: number | undefined;
  /** Milliseconds, for deadlines. */
  now: () => number;
  /** Why the server can take nothing more for this path now, if it cannot. */
  refusal: (stream: Stream, path: string) => ServerError | undefined;
  /** RESOURCE_EXHAUSTED: it has no room for a message. */
  busy: () => ServerError;
  /** Told when a call is over. */
  onEnd: (call: Call) => void;
}

interface CallParts {
  stream: Stream;
  head: CallHead;
  method: Method;
  connection: ConnectionInfo;
  deps: CallDeps;
}

/**
 * One call, from its headers to its status. It enters the middleware once, and ends there: with what
 * the handler gives, with the fault that kept the handler from running, or with what cut it.
 */
export class Call
  implements StreamEvents, Deadline, Placed, Interruptible, Respondent, RequestOwner, Compression
{
  at = 0;
  place = -1;
  slot = -1;
  requestCompressed = false;
  cutBy: Error | undefined;
  interrupt: ((error: Error) => void) | undefined;
  readonly stream: Stream;
  readonly method: Method;
  readonly encoding: Encoding | undefined;
  readonly maxMessageSize: number;
  readonly inUse: BytesInUse;
  readonly #deps: CallDeps;
  readonly #context: EngineContext;
  readonly #controller: AbortController;
  readonly #request: RequestReader;
  readonly response: ResponseWriter;
  /** `sending`: how it ends is decided, and what is left of the response waits for the peer's windows. */
  #state: 'waiting' | 'entered' | 'sending' | 'over' = 'waiting';
  #onSent: OnSent[] | undefined;
  /** Ends it at the end of this turn, if it has not ended by then. */
  #unwinding: NodeJS.Immediate | undefined;
  /** What it ended with, or was cut by while it was sent, if it did not end well. */
  #failure: unknown;

  constructor({ stream, head, method, connection, deps }: CallParts) {
    this.stream = stream;
    this.method = method;
    this.encoding = head.encoding;
    this.maxMessageSize = deps.maxMessageSize;
    this.inUse = new BytesInUse(stream);
    this.#deps = deps;
    this.#controller = new AbortController();
    this.response = new ResponseWriter({
      stream,
      head,
      method,
      compressAbove: deps.compressAbove,
    });
    const deadline = head.timeout === undefined ? undefined : deps.now() + head.timeout;
    this.#context = createContext({
      head,
      connection,
      signal: this.#controller.signal,
      deadline,
      abort: (error) => this.fail(error),
      whenSent: (done) => this.#whenSent(done),
      response: this.response,
      retain: method.requestStream ? (bytes) => this.inUse.retain(bytes) : undefined,
      compression: this,
    });
    this.#request = createRequestReader(this);
    if (deadline !== undefined) {
      this.at = deadline;
      deps.deadlines.add(this);
    }
    if (head.fault) this.cut(head.fault);
    else this.#request.begin();
  }

  get isEnded(): boolean {
    return this.#state === 'sending' || this.#state === 'over';
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  get compressResponses(): boolean | undefined {
    return this.response.compress;
  }

  set compressResponses(wanted: boolean | undefined) {
    this.response.compress = wanted;
  }

  data(bytes: Buffer): void {
    this.#request.data(bytes);
  }

  end(_trailers: readonly string[], overLimit?: number): void {
    if (overLimit === undefined) this.#request.end();
    else this.cut(oversized('trailers', overLimit));
  }

  reset(): void {
    this.cut(new AbortError());
  }

  failed(error: StreamError | ConnectionError): void {
    this.cut(endedFor(error));
  }

  expire(): void {
    this.cut(new ServerError(Status.UNAVAILABLE, 'Connection has reached its age'));
  }

  drain(): void {
    this.response.drained();
  }

  sent(): void {
    if (this.#state === 'sending') this.#over();
  }

  /** The deadline has passed. */
  passed(): void {
    this.cut(new ServerError(Status.DEADLINE_EXCEEDED, 'Deadline exceeded'));
  }

  /** Ends the call from outside, with whatever somebody says: the caller does not keep to the protocol, say. */
  fail(error: unknown): void {
    this.cut(isError(error) ? error : new Error(show(error)));
  }

  get refusal(): ServerError | undefined {
    return this.#deps.refusal(this.stream, this.method.path);
  }

  get freeBytes(): number {
    return this.stream.account.room;
  }

  busy(): ServerError {
    return this.#deps.busy();
  }

  /** Ends the call from outside, wherever it is. */
  cut(error: Error): void {
    if (this.#state === 'over' || this.cutBy) return;
    this.cutBy = error;
    this.#failure = error;
    if (this.#state === 'sending') return this.#cutSending(error);
    this.#controller.abort();
    const wasWaiting = this.#state === 'waiting';
    this.#request.stop(new AbortError());
    if (wasWaiting) this.enter(this.#request.empty());
    this.interrupt?.(error);
    this.response.drained();
    // Middleware that waits for something else does not keep the caller waiting.
    this.#unwinding = setImmediate(() => this.finishWith(error));
  }

  /** The handler can begin. */
  enter(request: unknown): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'entered';
    const { chain, handler, responseStream } = this.method;
    if (chain.length > 0) {
      const way = throughChain(chain, this.method, handle(this, request));
      if (responseStream) void respondAll(this, () => way(request, this.#context));
      else void respondThroughChain(this, () => way(request, this.#context));
    } else if (this.cutBy) this.finishWith(this.cutBy);
    else if (responseStream) void respondAll(this, () => handler(request, this.#context));
    else void respondOnce(this, () => handler(request, this.#context));
  }

  finish(): void {
    if (this.isEnded) return;
    if (this.cutBy) this.finishWith(this.cutBy);
    else this.#end(fine);
  }

  finishWith(thrown: unknown): void {
    if (this.isEnded) return;
    // A service that ends because it was aborted does not know why it was.
    this.#failure = this.cutBy && isAbort(thrown) ? this.cutBy : thrown;
    this.#end(statusOf(this.#failure, this.method.path));
  }

  /** Sends the status, once; what comes later is too late. */
  #end(status: CallStatus): void {
    this.#state = 'sending';
    this.#request.stop(leftOver);
    try {
      if (this.cutBy) this.response.cut(status);
      else this.response.end(status);
    } catch (error) {
      process.emitWarning(`${this.method.path}: Cannot send the end of a call: ${show(error)}`);
      this.stream.reset(ErrorCode.INTERNAL_ERROR);
    }
    // Most often all of it has left by now.
    if (this.stream.closed) this.sent();
  }

  /** The reader of its response has had its time, or is gone. */
  #cutSending(error: Error): void {
    this.response.cut(statusOf(error, this.method.path));
    this.sent();
  }

  #over(): void {
    this.#state = 'over';
    this.#deps.deadlines.delete(this);
    this.#deps.onEnd(this);
    // Else what is refused by the thousand would be kept until the end of the turn.
    if (this.#unwinding) clearImmediate(this.#unwinding);
    if (this.#onSent) for (const done of this.#onSent) done(this.#failure);
  }

  #whenSent(done: OnSent): void {
    if (this.isOver) done();
    else (this.#onSent ??= []).push(done);
  }
}

/**
 * What a call ends with when we end its stream or its connection: the code that its caller makes of that
 * (PROTOCOL-HTTP2.md, HTTP2 Transport Mapping), and for the log the reason.
 */
function endedFor(error: StreamError | ConnectionError): ServerError {
  if (error instanceof ConnectionError) {
    const options = { code: Status.UNAVAILABLE, reason: error.message };
    return new CallersFault('Connection is closed', options);
  }
  const tooMuch = error.code === ErrorCode.ENHANCE_YOUR_CALM;
  const code = tooMuch ? Status.RESOURCE_EXHAUSTED : Status.INTERNAL;
  return new CallersFault('Stream is reset', { code, reason: error.message });
}

/** `instanceof` asks what was thrown, which may throw again. */
function isError(thrown: unknown): thrown is Error {
  try {
    return thrown instanceof Error;
  } catch {
    return false;
  }
}

const leftOver = new AbortError();
