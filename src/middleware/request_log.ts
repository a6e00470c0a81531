import {
  type CallContext,
  ServerError,
  type ServerMiddleware,
  type ServerMiddlewareCall,
  Status,
} from 'nice-grpc-common';
import type { Logger, LogFn } from 'pino';
import { ExpectedError, meantBy } from '../engine/errors.ts';
import type { CallLog, Connected, Logged, Sending, Timed, Traced } from '../context.ts';
import type { CallCounts } from '../observability/call_counts.ts';
import { logThrown } from '../observability/log_thrown.ts';
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
  now?: () => number;
  /** At least 0, and less than 1. */
  random?: () => number;
}

/**
 * What callers can lengthen is bounded as it is written, escapes and all: who fills the disk of a node
 * with lines has the pod evicted. With the path of an unknown method, bounded by the router, a line has
 * at most 1 KiB.
 */
const mostIdBytes = 128;
const mostReasonBytes = 128;
/** A SPIFFE id names a trust domain and a workload; those who sign certificates choose its length. */
const mostNameBytes = 256;

/** What those before it have added. */
type Known = Timed & Connected & Sending & Traced;

/**
 * Gives every call a logger of its own, and writes one line when the call has ended and its response has left:
 * rpc, code, ms, peer, requestId (the caller's `x-request-id`, or one of ours), where the client has shown
 * a certificate, whose that is: `client`, and where the call was refused or cut, the reason. On servers
 * that trace, every line of the call has trace_id and span_id too, as OpenTelemetry names them in logs. It
 * also counts the call, and ends its span, whether it has a line or not: others would cost more, and could
 * differ.
 */
export function requestLog({
  log,
  counts,
  accessLog = 'all',
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
    const rpc = call.method.path;
    const count = counts.of(rpc);
    count.started++;
    // Undefined, which the log leaves out, on a server that does not trace.
    const ids = context.span?.spanContext();
    const fields = {
      rpc,
      peer: context.peer,
      client: nameOf(context),
      requestId: callersId(context) ?? nextId(),
      trace_id: ids?.traceId,
      span_id: ids?.spanId,
    };
    // When the caller leaves a response stream, this generator is returned, not thrown into:
    // then this first value is what the line says.
    let ended: unknown = callersEnd;

    try {
      const inside = { ...context, log: new LateLog(log, fields) };
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
      if (!isOurs && hasLine && !hasLine(code)) return;
      // A service may end a call with a number that has no name.
      const line = { ...fields, code: Status[code] ?? String(code), ms: Math.round(ms) };
      if (isOurs) logThrown(log, causeOf(how), { ...line, message: 'call failed' });
      else if (code === Status.OK) log.info(line, 'call ended');
      else log.info({ ...line, reason: reasonOf(how) }, 'call ended');
    }
  };
  return middleware;
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
  readonly #fields: object;
  #made: Logger | undefined;

  constructor(parent: Logger, fields: object) {
    this.#parent = parent;
    this.#fields = fields;
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
    this.#made ??= this.#parent.child(this.#fields);
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
  return reason && bounded(reason, mostReasonBytes);
}

/** A caller's own id, if it is one that a log line can hold. */
function callersId({ metadata }: CallContext): string | undefined {
  const id = metadata.get('x-request-id');
  return id !== undefined && id !== '' && isShort(id) ? id : undefined;
}

function isShort(id: string): boolean {
  return id.length <= mostIdBytes && bounded(id, mostIdBytes) === id;
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
