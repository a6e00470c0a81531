import {
  type CallContext,
  ServerError,
  type ServerMiddleware,
  type ServerMiddlewareCall,
  Status,
} from 'nice-grpc-common';
import type { Logger, LogFn } from 'pino';
import { setOptional } from '../engine/index.ts';
import { ExpectedError, isAbort, serverErrorStatus } from '../engine/errors.ts';
import type {
  CallLog,
  Connected,
  Logged,
  Sending,
  Timed,
  Traced,
  WithProtocol,
} from '../context.ts';
import type { CallCounts } from '../observability/call_counts.ts';
import { logThrown } from '../observability/log_thrown.ts';
import { methodName, otherMethod } from '../observability/method_names.ts';
import { bounded } from '../engine/bounded.ts';
import { countRequests, countResponses } from './metrics.ts';
import { callersEnd, codeOf, endedWell, isLate } from './outcome.ts';

/**
 * Which calls are logged: all, those with a status other than OK, none, or those and one in N of the others. Server
 * faults are always logged.
 */
type AccessLog = 'all' | 'errors' | 'off' | { readonly oneIn: number };

/** Dependencies of the request log; `now` returns milliseconds on the clock of deadlines. */
export interface RequestLogOptions {
  log: Logger;
  counts: CallCounts;
  accessLog?: AccessLog | undefined;
  /** Paths of calls that are logged at debug, except for server faults. */
  quiet?: ReadonlySet<string>;
  /** The trailer that lists the injected faults, on a server that injects faults. */
  injected?: `x-${string}` | undefined;
  now?: () => number;
  /** Returns at least 0 and less than 1. */
  random?: () => number;
}

/** The name in requests and in responses; a valid request ID is returned. */
const requestIdName = 'x-request-id';

/** Visible ASCII, which needs no escaping in logs and header fields. */
const usableId = /^[!-~]{1,128}$/;

/**
 * Values that callers choose are limited to so many bytes as written, including escapes, because a full disk makes
 * Kubernetes evict pods. With a request ID of quotes, an unknown path, a client name and trace IDs, a line has about
 * 1,200 bytes.
 */
const maxReasonBytes = 128;
/** A SPIFFE ID names a trust domain and a workload; its length is up to the CA. */
const maxNameBytes = 256;

/** Context added by earlier middleware. */
type Known = Timed & Connected & Sending & WithProtocol & Traced;

/**
 * Gives every call a logger, and writes one line when its response has been sent: rpc.method, rpc.status_code,
 * duration_ms, protocol (if it is not gRPC), peer, request_id (the caller's `x-request-id`, or a new one), client (the
 * name in the client's certificate), and the reason if the call was refused or cut. On servers that trace, each line
 * also has trace_id and span_id, as OpenTelemetry names them.
 *
 * It also counts the call and ends its span, whether it is logged or not, so that all three agree.
 *
 * The request ID is in the headers of every response, and in the trailers of every failed call: headers would keep
 * clients from retrying (gRFC A6).
 */
export function requestLog({
  log,
  counts,
  accessLog = 'all',
  quiet = new Set(),
  injected,
  now = performance.now.bind(performance),
  random = Math.random,
}: RequestLogOptions) {
  const nextId = requestIds();
  const hasLine = lineRule(accessLog, random);

  const middleware: ServerMiddleware<Logged, Known> = async function* requestLog<Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Logged & Known>,
    context: CallContext & Known,
  ) {
    const startedAt = now();
    // The report must not keep the call: its request may be large, and its response may be read slowly.
    const { responseStream } = call;
    const { path } = call.method;
    const count = counts.of(path);
    count.started++;
    counts.protocols[context.protocol ?? 'grpc']++;
    const sentId = context.metadata.get(requestIdName);
    const requestId = sentId !== undefined && usableId.test(sentId) ? sentId : nextId();
    setOptional(context.header, requestIdName, requestId);
    const about = { method: count.name, path, requestId, context };
    // If the caller cancels a response stream, return() is called on this generator, and this initial value remains.
    let ended: unknown = callersEnd;

    try {
      const inside = { ...context, log: new LateLog(log, about) };
      const request = countRequests(call, count);
      // A call that ended before its handler had no readable message.
      if (!call.requestStream && !context.signal.aborted) count.received++;
      const response = yield* responseStream
        ? countResponses(call.next(request, inside), count)
        : call.next(request, inside);
      ended = context.signal.aborted ? callersEnd : endedWell;
      return response;
    } catch (error) {
      ended = error;
      if (!isAbort(error)) {
        context.header.delete(requestIdName);
        context.trailer.set(requestIdName, requestId);
      }
      throw error;
    } finally {
      if (context.whenSent) context.whenSent((failure) => report(failure ?? ended));
      else report(ended);
    }

    function report(how: unknown): void {
      const endedAt = now();
      const ms = endedAt - startedAt;
      const code = codeOf(how, isLate(context.deadline, endedAt));
      count.ended(code, ms);
      context.endSpan?.({ ended: how, code });
      if (code === Status.OK && !responseStream) count.sent++;
      const fault = injected && context.trailer.get(injected);
      const isOurs = isOurFault(code) && !isExpected(how) && fault === undefined;
      const level = quiet.has(path) ? 'debug' : 'info';
      if (!isOurs && (!log.isLevelEnabled(level) || (hasLine && !hasLine(code)))) return;
      const reason = isOurs || code === Status.OK ? undefined : reasonOf(how);
      const line = fieldsOf(about, { code, ms, fault, reason });
      if (isOurs) logThrown(log, causeOf(how), { ...line, message: 'call failed' });
      else log[level](line, 'call ended');
    }
  };
  return middleware;
}

/** What each line of a call contains. */
interface About {
  /** The method as in metrics and spans. */
  method: string;
  path: string;
  requestId: string;
  context: CallContext & Known;
}

/** What the last line adds. */
interface End {
  code: Status;
  ms: number;
  /** The injected faults. */
  fault: string | undefined;
  reason: string | undefined;
}

/** The fields of a line, named as span attributes. The logger omits undefined values. */
function fieldsOf({ method, path, requestId, context }: About, end?: End) {
  const ids = context.span?.spanContext();
  return {
    'rpc.method': method,
    'rpc.method_original': method === otherMethod ? methodName(path) : undefined,
    // A service may return a code without a name.
    'rpc.status_code': end && (Status[end.code] ?? String(end.code)),
    duration_ms: end && Math.round(end.ms * 1000) / 1000,
    protocol: context.protocol === 'grpc' ? undefined : context.protocol,
    peer: context.peer,
    client: nameOf(context),
    request_id: requestId,
    trace_id: ids?.traceId,
    span_id: ids?.spanId,
    fault: end?.fault,
    reason: end?.reason,
  };
}

/**
 * Decides whether a call is logged; undefined if all are. One in N is chosen at random: with a counter, a client that
 * repeats the same N calls would always show the same one.
 */
function lineRule(
  accessLog: AccessLog,
  random: () => number,
): ((code: Status) => boolean) | undefined {
  if (accessLog === 'all') return undefined;
  if (accessLog === 'off') return () => false;
  if (accessLog === 'errors') return (code) => code !== Status.OK;
  const { oneIn } = accessLog;
  return (code) => code !== Status.OK || random() * oneIn < 1;
}

/** The logger of a call, created when a service first logs, as few do. */
class LateLog implements CallLog {
  readonly #parent: Logger;
  readonly #about: About;
  #made: Logger | undefined;

  constructor(parent: Logger, about: About) {
    this.#parent = parent;
    this.#about = about;
  }

  get debug(): LogFn {
    return this.#make().debug.bind(this.#made);
  }

  get info(): LogFn {
    return this.#make().info.bind(this.#made);
  }

  get warn(): LogFn {
    return this.#make().warn.bind(this.#made);
  }

  get error(): LogFn {
    return this.#make().error.bind(this.#made);
  }

  #make(): Logger {
    this.#made ??= this.#parent.child(fieldsOf(this.#about));
    return this.#made;
  }
}

function isOurFault(code: Status): boolean {
  return code === Status.INTERNAL || code === Status.UNKNOWN || code === Status.DATA_LOSS;
}

/** Property access on a thrown value may throw. */
function causeOf(thrown: unknown): unknown {
  try {
    return thrown instanceof ServerError && 'cause' in thrown ? thrown.cause : thrown;
  } catch {
    return thrown;
  }
}

function isExpected(thrown: unknown): thrown is ExpectedError {
  try {
    return thrown instanceof ExpectedError;
  } catch {
    return false;
  }
}

/**
 * The reason why a call was refused or cut: its status message, or the text for the log. Undefined if the caller
 * ended it or chose the message.
 */
function reasonOf(thrown: unknown): string | undefined {
  const reason = isExpected(thrown) ? thrown.reason : serverErrorStatus(thrown)?.details;
  return reason ? bounded(reason, maxReasonBytes) : undefined;
}

function nameOf({ connection }: Connected): string | undefined {
  const client = connection?.tls?.client;
  return client && bounded(client, maxNameBytes);
}

/** IDs that are unique in this process and random across processes. */
function requestIds(): () => string {
  const prefix = Math.random().toString(36).slice(2, 14);
  let last = 0;
  return () => `${prefix}-${++last}`;
}
