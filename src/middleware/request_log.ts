import {
  type CallContext,
  ServerError,
  type ServerMiddleware,
  type ServerMiddlewareCall,
  Status,
} from 'nice-grpc-common';
import type { Logger, LogFn } from 'pino';
import { ExpectedError, isAbort, meantBy } from '../engine/errors.ts';
import type { CallLog, Connected, Logged, Sending, Spoken, Timed, Traced } from '../context.ts';
import type { CallCounts } from '../observability/call_counts.ts';
import { logThrown } from '../observability/log_thrown.ts';
import { methodName, otherMethod } from '../observability/method_names.ts';
import { bounded } from '../engine/bounded.ts';
import { countRequests, countResponses } from './metrics.ts';
import { callersEnd, codeOf, endedWell, isLate } from './outcome.ts';

/**
 * Which calls have a line: all, those that did not end OK, none, or those that did not and one in so many
 * of the others. One that we broke has its line whatever this is.
 */
type AccessLog = 'all' | 'errors' | 'off' | { readonly oneIn: number };

/** What the request log needs; `now` gives milliseconds, on the clock of deadlines. */
export interface RequestLogOptions {
  log: Logger;
  counts: CallCounts;
  accessLog?: AccessLog | undefined;
  /** Paths of calls that are logged at debug, unless the server is at fault. */
  quiet?: ReadonlySet<string>;
  now?: () => number;
  /** At least 0, and less than 1. */
  random?: () => number;
}

/** In requests, and in responses; what is usable of the first is in the second. */
const requestIdName = 'x-request-id';

/** Visible ASCII, which a line of the log and a header field hold as it is. */
const usableId = /^[!-~]{1,128}$/;

/**
 * What callers can lengthen is bounded as it is written, escapes and all: who fills the disk of a node
 * with lines has the pod evicted. With a request id of quotes, an unknown path, a client's name and the ids of
 * a trace, a line has some 1,200 bytes.
 */
const mostReasonBytes = 128;
/** A SPIFFE id names a trust domain and a workload; those who sign certificates choose its length. */
const mostNameBytes = 256;

/** What those before it have added. */
type Known = Timed & Connected & Sending & Spoken & Traced;

/**
 * Gives every call a logger of its own, and writes one line when the call has ended and its response has left:
 * rpc.method, rpc.status_code, duration_ms, peer, request_id (the caller's `x-request-id`, or one of ours),
 * where it is not gRPC the protocol, where the client has shown a certificate, whose that is: `client`, and where
 * the call was refused or cut, the reason. On servers that trace, every line of the call has trace_id and span_id too, as OpenTelemetry
 * names them in logs. It also counts the call, and ends its span, whether it has a line or not: others would
 * cost more, and could differ.
 *
 * The request id is in the headers of the response if the request had an `x-request-id`, and in the trailers
 * of every call that fails: as headers it would keep clients from retrying (gRFC A6).
 */
export function requestLog({
  log,
  counts,
  accessLog = 'all',
  quiet = new Set(),
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
    const { path } = call.method;
    const count = counts.of(path);
    count.started++;
    counts.protocols[context.protocol ?? 'grpc']++;
    const sentId = context.metadata.get(requestIdName);
    const requestId = sentId !== undefined && usableId.test(sentId) ? sentId : nextId();
    if (sentId !== undefined) context.header.set(requestIdName, requestId);
    const about = { method: count.name, path, requestId, context };
    // When the caller leaves a response stream, this generator is returned, not thrown into:
    // then this first value is what the line says.
    let ended: unknown = callersEnd;

    try {
      const inside = { ...context, log: new LateLog(log, about) };
      const request = countRequests(call, count);
      // One that is over before its handler runs had no message, or none that could be read.
      if (!call.requestStream && !context.signal.aborted) count.received++;
      const response = yield* call.responseStream
        ? countResponses(call.next(request, inside), count)
        : call.next(request, inside);
      ended = context.signal.aborted ? callersEnd : endedWell;
      return response;
    } catch (error) {
      ended = error;
      if (!isAbort(error)) {
        if (sentId !== undefined) context.header.delete(requestIdName);
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
      if (code === Status.OK && !call.responseStream) count.sent++;
      const isOurs = isOurFault(code) && !isExpected(how);
      const level = quiet.has(path) ? 'debug' : 'info';
      if (!isOurs && (!log.isLevelEnabled(level) || (hasLine && !hasLine(code)))) return;
      const reason = isOurs || code === Status.OK ? undefined : reasonOf(how);
      const line = fieldsOf(about, { code, ms, reason });
      if (isOurs) logThrown(log, causeOf(how), { ...line, message: 'call failed' });
      else log[level](line, 'call ended');
    }
  };
  return middleware;
}

/** What the lines of a call say of it. */
interface About {
  /** As metrics and spans name it. */
  method: string;
  path: string;
  requestId: string;
  context: CallContext & Known;
}

/** What the last of them says, too. */
interface End {
  code: Status;
  ms: number;
  reason: string | undefined;
}

/** The fields of a line, named as the attributes of spans. The log leaves out what is undefined. */
function fieldsOf({ method, path, requestId, context }: About, end?: End) {
  const ids = context.span?.spanContext();
  return {
    'rpc.method': method,
    'rpc.method_original': method === otherMethod ? methodName(path) : undefined,
    // A service may end a call with a number that has no name.
    'rpc.status_code': end && (Status[end.code] ?? String(end.code)),
    duration_ms: end && Math.round(end.ms * 1000) / 1000,
    protocol: context.protocol === 'grpc' ? undefined : context.protocol,
    peer: context.peer,
    client: nameOf(context),
    request_id: requestId,
    trace_id: ids?.traceId,
    span_id: ids?.spanId,
    reason: end?.reason,
  };
}

/**
 * Whether a call that ended so has a line; undefined where each has. One in N is drawn, not counted off:
 * of a client that repeats the same N calls, only one of them would ever be seen.
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

/** A call's own logger, which is made when a service has something to say: few have. */
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

/** Looking at what was thrown may throw. */
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
 * Why a call was refused or cut, as its caller is told, or for the log alone where there are other words.
 * Undefined where the caller ended it, or where the words are the caller's own.
 */
function reasonOf(thrown: unknown): string | undefined {
  const reason = isExpected(thrown) ? thrown.reason : meantBy(thrown)?.details;
  return reason ? bounded(reason, mostReasonBytes) : undefined;
}

function nameOf({ connection }: Connected): string | undefined {
  const client = connection?.tls?.client;
  return client && bounded(client, mostNameBytes);
}

/** Ids that no other call of this process has, and hardly one of another process. */
function requestIds(): () => string {
  const prefix = Math.random().toString(36).slice(2, 14);
  let last = 0;
  return () => `${prefix}-${(++last).toString(36)}`;
}
