import { AbortError } from 'abort-controller-x';
import type { ServerError } from 'nice-grpc-common';
import { type ConnectionError, ErrorCode, type StreamError } from '../http2/errors.ts';
import { encodeHeaders } from '../http2/hpack/encoder.ts';
import { abortFor, isAbort, show } from '../errors.ts';
import { cost } from '../scheduler.ts';
import type { Stream, StreamEvents } from '../http2/stream.ts';
import { BytesInUse } from './messages.ts';
import type { CallFaults, ResponseFault, Translated } from './call_faults.ts';
import { type CallHead, oversized } from './call_head.ts';
import {
  type AnyMiddleware,
  type DescribedMethod,
  throughChain,
  invokeHandler,
  type Interruptible,
  respondAll,
  respondOnce,
  respondThroughChain,
  type Respondent,
} from './chain.ts';
import type { ConnectionInfo } from '../net/connection_info.ts';
import type { Encoding } from './compression.ts';
import {
  type Compression,
  createContext,
  type EngineContext,
  type OnSent,
  type Timing,
} from './context.ts';
import type { Deadline, Deadlines, OpenCall, OpenCalls } from './open_calls.ts';
import { type Cut, type EndReason, reasons, type Returned } from './end_reason.ts';
import type { Handler, MethodCodec } from './methods.ts';
import type { Protocol } from '../web.ts';
import { createRequestReader, type RequestOwner, type RequestReader } from './request_reader.ts';
import type { CallStatus, OwnFields } from './response_headers.ts';
import { ResponseWriter, fine, statusOf } from './response_writer.ts';

/** A method with its handler and middleware. */
export interface Method extends MethodCodec, DescribedMethod {
  chain: readonly AnyMiddleware[];
  handler: Handler;
}

/** What all calls of a server share. */
export interface CallDeps {
  calls: OpenCalls;
  deadlines: Deadlines;
  maxMessageSize: number;
  compressAbove: number | undefined;
  /** The fields of every response. */
  ownFields: OwnFields;
  /** Milliseconds on a monotonic clock, for deadlines. */
  now: () => number;
  /** Returns an error if the server is overloaded and refuses a call of this path. */
  refusal: (stream: Stream, path: string) => ServerError | undefined;
  /** RESOURCE_EXHAUSTED: a message is not admitted. */
  busy: () => ServerError;
  /** RESOURCE_EXHAUSTED: the call is evicted in favour of others. */
  evicted: () => ServerError;
}

interface CallParts {
  stream: Stream;
  head: CallHead;
  method: Method;
  connection: ConnectionInfo;
  isUnlimited: boolean;
  deps: CallDeps;
}

/**
 * One call, from its request headers to its status. It runs the middleware at most once and ends exactly once: with
 * the handler's result, with the error that kept the handler from running, or with the reason it was cut.
 */
export class Call
  implements
    OpenCall,
    Deadline,
    Interruptible,
    Respondent,
    RequestOwner,
    Compression,
    CallFaults,
    Timing
{
  at = 0;
  place = -1;
  slot = -1;
  entry = 0;
  isEndless = false;
  requestCompressed = false;
  interrupt: ((error: Error) => void) | undefined;
  readonly stream: Stream;
  readonly method: Method;
  readonly protocol: Protocol;
  readonly isJson: boolean;
  readonly encoding: Encoding | undefined;
  readonly maxMessageSize: number;
  readonly isUnlimited: boolean;
  readonly inUse: BytesInUse;
  readonly request: RequestReader;
  readonly response: ResponseWriter;
  readonly #deps: CallDeps;
  readonly #context: EngineContext;
  readonly #controller: AbortController;
  /**
   * The state only moves forward, in this order:
   * - `waiting` for the request message;
   * - `running` the middleware and the handler, from enter() on;
   * - `unwinding` after a cut, until the middleware have returned or this turn ends;
   * - `sending` the rest of the response as flow control allows: the status is decided;
   * - `over`.
   */
  #state: 'waiting' | 'running' | 'unwinding' | 'sending' | 'over' = 'waiting';
  /** The first cut; later ones are ignored. */
  #cut: Cut | undefined;
  /** The error that the call ended with, or that cut it while its response was sent. */
  #failure: unknown;
  /** Ends the call at the end of this turn, if the middleware have not returned by then. */
  #unwinding: NodeJS.Immediate | undefined;
  #onSent: OnSent[] | undefined;

  constructor({ stream, head, method, connection, isUnlimited, deps }: CallParts) {
    this.stream = stream;
    this.method = method;
    this.protocol = head.protocol;
    this.isJson = head.isJson;
    this.encoding = head.encoding;
    this.maxMessageSize = deps.maxMessageSize;
    this.isUnlimited = isUnlimited;
    this.inUse = new BytesInUse(stream);
    this.#deps = deps;
    this.#controller = new AbortController();
    this.response = new ResponseWriter({
      stream,
      head,
      method,
      compressAbove: deps.compressAbove,
      inUse: this.inUse,
      own: deps.ownFields,
      busy: deps.busy,
    });
    const deadline = head.timeout === undefined ? undefined : deps.now() + head.timeout;
    this.#context = createContext({
      head,
      connection,
      signal: this.#controller.signal,
      deadline,
      calls: deps.calls,
      isUnlimited,
      abort: (error) => this.end(reasons.aborted(error)),
      abortOnTerminate: () => deps.calls.endWithDrain(this),
      whenSent: (done) => this.#whenSent(done),
      response: this.response,
      retain: method.requestStream ? (bytes) => this.inUse.retain(bytes) : undefined,
      compression: this,
      faults: this,
      timing: this,
    });
    this.request = createRequestReader(this);
    if (method.requestStream || method.responseStream) stream.flow.spend(cost.streaming);
    if (deadline !== undefined) {
      this.at = deadline;
      deps.deadlines.add(this);
    }
    deps.calls.add(this);
    const refusal =
      deps.calls.closedFor ??
      (head.fault && reasons.refused(head.fault)) ??
      (head.timeout === undefined || head.timeout > 0 ? undefined : reasons.deadline());
    if (refusal) {
      // Counts the failure now, before later frames of this turn are processed.
      this.response.willFail();
      this.end(refusal);
    } else this.request.begin();
  }

  /** The error that cut the call, if something other than its handler ended it. */
  get cutBy(): Error | undefined {
    return this.#cut?.error;
  }

  get isEnded(): boolean {
    return this.#state === 'sending' || this.#state === 'over';
  }

  get compressResponses(): boolean | undefined {
    return this.response.compress;
  }

  set compressResponses(wanted: boolean | undefined) {
    this.response.compress = wanted;
  }

  get translated(): Translated | undefined {
    return this.stream.isInner ? this : undefined;
  }

  get ofResponse(): ResponseFault | undefined {
    return this.response.fault;
  }

  set ofResponse(fault: ResponseFault | undefined) {
    this.response.fault = fault;
  }

  get refusal(): ServerError | undefined {
    return this.#deps.refusal(this.stream, this.method.path);
  }

  get freeBytes(): number {
    return this.stream.account.availableBytes + this.inUse.spare;
  }

  busy(): ServerError {
    return this.#deps.busy();
  }

  willFail(): void {
    this.response.willFail();
  }

  /** Evicts the call in favour of others. */
  evict(): void {
    this.end(reasons.evicted(this.#deps.evicted()));
  }

  passed(): void {
    this.end(reasons.deadline());
  }

  shortenTo(deadline: number): void {
    const { deadlines } = this.#deps;
    if (this.place >= 0 && this.at <= deadline) return;
    deadlines.delete(this);
    this.at = deadline;
    if (this.#state !== 'over') deadlines.add(this);
  }

  /** Starts the middleware and the handler: the request is complete, or as complete as it will be. */
  enter(request: unknown): void {
    if (this.#state !== 'waiting') return;
    this.#state = this.#cut ? 'unwinding' : 'running';
    // A call that is cut runs no handler and does not count against limits.
    if (!this.#cut) this.#count();
    const { chain, handler, responseStream } = this.method;
    if (chain.length > 0) {
      const way = throughChain(chain, this.method, invokeHandler(this, request));
      if (responseStream) void respondAll(this, () => way(request, this.#context));
      else void respondThroughChain(this, () => way(request, this.#context));
    } else if (this.#cut) this.end(reasons.threw(this.#cut.error));
    else if (responseStream) void respondAll(this, () => handler(request, this.#context));
    else void respondOnce(this, () => handler(request, this.#context));
  }

  /** Ends the call. Calls after the first have no effect. */
  end(reason: EndReason): void {
    if (reason.response === 'all') {
      if (!this.isEnded) this.#send(this.#statusFor(reason), this.#cut?.response ?? 'all');
    } else if (this.#state === 'over') return;
    else if (this.#cut) {
      // The reader of a call of another protocol gets the queued messages even then, until it leaves.
      if (this.#state === 'sending' && reason.response === 'nothing') this.sent();
    } else if (this.#state === 'sending') this.#cutSending(reason);
    else this.#unwind(reason);
  }

  reset(code: number, error: ServerError): void {
    this.stream.breakOff(code);
    this.end(reasons.injected(error));
  }

  drop(error: ServerError): void {
    this.stream.faults.drop();
    this.end(reasons.injected(error));
  }

  retire(): void {
    this.stream.faults.retire();
  }

  endResponse(error: ServerError): void {
    this.response.sendHeader();
    this.stream.end();
    this.end(reasons.injected(error));
  }

  respond(httpStatus: number, error: ServerError): void {
    const fields = [':status', String(httpStatus), 'content-type', 'text/plain'];
    this.stream.respond(encodeHeaders(fields), { endStream: true });
    this.end(reasons.injected(error));
  }

  /** The last frame of the response has been sent. */
  sent(): void {
    if (this.#state === 'sending') this.#over();
  }

  /** Aborts the middleware and the handler. */
  #unwind(cut: Cut): void {
    const { error } = cut;
    this.response.willFail();
    this.#cut = cut;
    this.#failure = error;
    const abort = abortFor(error);
    this.#controller.abort(abort);
    this.request.stop(abort);
    if (this.#state === 'waiting') this.enter(this.request.empty());
    else this.#state = 'unwinding';
    this.#leave();
    this.interrupt?.(error);
    this.response.stop();
    if (this.isEnded) return;
    // Middleware that wait for something else do not delay the status.
    this.#unwinding = setImmediate(() => this.end(reasons.threw(error)));
  }

  /**
   * Counts the call against the limit, evicting another call if necessary. If the limit is exceeded anyway, the
   * middleware refuse the call.
   */
  #count(): void {
    if (!this.isUnlimited) {
      this.stream.account.admits('calls', 1);
      this.stream.countCall(true);
    }
    this.#deps.calls.enter(this);
  }

  #leave(): void {
    this.stream.countCall(false);
    this.#deps.calls.leave(this);
  }

  #statusFor({ kind, error }: Returned): CallStatus {
    const { cutBy } = this;
    if (kind === 'finished' && !cutBy) return fine;
    // A service that throws an AbortError does not know why it was aborted.
    const isCut = cutBy && (kind === 'finished' || isAbort(error));
    this.#failure = isCut ? cutBy : error;
    return statusOf(this.#failure, this.method.path);
  }

  /** Sends the status, after what `response` allows of the pending messages. */
  #send(status: CallStatus, response: EndReason['response']): void {
    this.#state = 'sending';
    this.#leave();
    this.interrupt = undefined;
    this.request.stop(leftOver);
    try {
      if (response === 'all') this.response.end(status);
      else if (response === 'what fits') this.response.cut(status);
    } catch (error) {
      process.emitWarning(`${this.method.path}: Cannot send the end of a call: ${show(error)}`);
      this.stream.reset(ErrorCode.INTERNAL_ERROR);
    }
    // Usually everything has been sent by now.
    if (response === 'nothing' || this.stream.closed) this.sent();
  }

  /** Cuts a call whose response is still being sent: the time is up, or the peer is gone. */
  #cutSending(cut: Cut): void {
    if (!cut.isLate) return;
    this.#cut = cut;
    this.#failure = cut.error;
    if (cut.response === 'what fits') this.response.cut(statusOf(cut.error, this.method.path));
    this.sent();
  }

  #over(): void {
    this.#state = 'over';
    this.#deps.deadlines.delete(this);
    this.#deps.calls.delete(this);
    // Otherwise thousands of refused calls would be kept until the end of the turn.
    if (this.#unwinding) clearImmediate(this.#unwinding);
    if (this.#onSent) for (const done of this.#onSent) done(this.#failure);
  }

  #whenSent(done: OnSent): void {
    if (this.#state === 'over') done();
    else (this.#onSent ??= []).push(done);
  }
}

/** Maps the events of a stream to its call. */
export class CallEvents implements StreamEvents {
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  data(bytes: Buffer): void {
    this.#call.request.data(bytes);
  }

  end(_trailers: readonly string[], overLimit?: number): void {
    if (overLimit === undefined) this.#call.request.end();
    else this.#call.end(reasons.refused(oversized('trailers', overLimit)));
  }

  reset(): void {
    this.#call.end(reasons.reset());
  }

  failed(error: StreamError | ConnectionError): void {
    this.#call.end(reasons.failed(error));
  }

  expire(): void {
    this.#call.end(reasons.connectionAge());
  }

  evicted(): void {
    this.#call.evict();
  }

  refused(error: Error): void {
    this.#call.end(reasons.malformed(error));
  }

  drain(): void {
    this.#call.response.drained();
  }

  sent(): void {
    this.#call.sent();
  }
}

const leftOver = new AbortError();
