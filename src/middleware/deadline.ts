import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import type { Abortable, Sending, Timed } from '../context.ts';
import { deadlineExceeded } from '../errors.ts';

/** The server's limits on the duration of a call, in milliseconds. */
export interface DeadlineOptions {
  /** The maximum duration of a call with a deadline. */
  max: number;
  /** The duration of a call without a deadline; undefined for no limit. */
  fallback: number | undefined;
  /** The paths of long-lived methods, which are exempt from both. */
  exempt: ReadonlySet<string>;
  /** Milliseconds on the clock of the context's deadline. */
  now?: () => number;
}

/**
 * Ends a call with DEADLINE_EXCEEDED at the server's deadline, if that is earlier than the caller's own, which the engine
 * enforces. The direct engine enforces both; on grpc-js, this middleware adds a timer and a generator to the call.
 */
export function deadline({
  max,
  fallback,
  exempt,
  now = performance.now.bind(performance),
}: DeadlineOptions) {
  const middleware: ServerMiddleware<Timed, Timed & Abortable> = (call, context) => {
    if (exempt.has(call.method.path)) return call.next(call.request, context);
    const startedAt = now();
    const { deadline: own } = context;
    const left = own === undefined ? fallback : own - startedAt;
    if (left === undefined || (own !== undefined && left <= max)) {
      return call.next(call.request, context);
    }
    const ms = Math.min(left, max);
    const deadline = startedAt + ms;
    if (!context.timing) return endingAt({ deadline, ms }, call, context);
    context.timing.shortenTo(deadline);
    return call.next(call.request, { ...context, deadline });
  };
  return middleware;
}

/** The maximum delay of a Node timer, in milliseconds: 24.8 days. */
const longestTimer = 2 ** 31 - 1;

async function* endingAt<Req, Res>(
  { deadline, ms }: { deadline: number; ms: number },
  call: ServerMiddlewareCall<Req, Res, Timed & Abortable>,
  context: CallContext & Timed & Abortable & Sending,
) {
  let timer: NodeJS.Timeout | undefined;
  const wait = (left: number) => {
    timer = setTimeout(() => pass(left - longestTimer), Math.min(left, longestTimer));
  };
  const pass = (left: number) => {
    if (left > 0) return wait(left);
    context.abort(deadlineExceeded());
  };
  wait(ms);

  try {
    return yield* call.next(call.request, { ...context, deadline });
  } finally {
    const stop = () => clearTimeout(timer);
    if (context.whenSent) context.whenSent(stop);
    else stop();
  }
}
