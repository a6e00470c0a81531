import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import type { Counted } from '../context.ts';
import { createBusy } from '../rich_error.ts';

/** The maximum number of open calls of a server. */
export interface LimitOptions {
  max: number;
}

/**
 * Refuses a call with RESOURCE_EXHAUSTED and a retry delay if there are too many. The engine has counted the call
 * already.
 */
export function limit({ max }: LimitOptions) {
  const tooMany = createBusy(`Cannot accept more calls: at most ${max} at once`);

  const middleware: ServerMiddleware<{}, Counted> = <Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Counted>,
    context: CallContext & Counted,
  ) => {
    if (!context.isUnlimited && context.calls.limited > max) throw tooMany();
    return call.next(call.request, context);
  };
  return middleware;
}
