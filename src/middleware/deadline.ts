import { isAbortError } from 'abort-controller-x';
import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import type { Timed } from '../context.ts';
import { deadlineExceeded } from '../errors.ts';

/** Our own limits on a call's time, in milliseconds. */
export interface DeadlineOptions {
  /** The longest a call with a deadline may take, however much its caller allows. */
  max: number;
  /** What a call without a deadline gets; undefined leaves it without. */
  fallback: number | undefined;
  /** The paths of the methods that neither applies to: calls that are meant to stay. */
  exempt: ReadonlySet<string>;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

/**
 * Ends a call with DEADLINE_EXCEEDED when its time is over. The engine keeps the caller's own
 * deadline; a timer runs only where ours is closer.
 */
export function deadline({ max, fallback, exempt, now = Date.now }: DeadlineOptions) {
  const middleware: ServerMiddleware<Timed, Timed> = async function* deadline<Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Timed>,
    context: CallContext & Timed,
  ) {
    if (exempt.has(call.method.path)) return yield* call.next(call.request, context);
    const startedAt = now();
    const asked = context.deadline ?? (fallback === undefined ? undefined : startedAt + fallback);
    if (asked === undefined) return yield* call.next(call.request, context);

    const ends = Math.min(asked, startedAt + max);
    using late = ends === context.deadline ? undefined : abortAfter(ends - startedAt);
    const signal = late ? AbortSignal.any([context.signal, late.signal]) : context.signal;

    try {
      return yield* call.next(call.request, { ...context, signal, deadline: ends });
    } catch (error) {
      if (isAbortError(error) && (late?.signal.aborted || now() >= ends)) throw deadlineExceeded();
      throw error;
    }
  };
  return middleware;
}

function abortAfter(ms: number): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ms);
  return { signal: controller.signal, [Symbol.dispose]: () => clearTimeout(timer) };
}
