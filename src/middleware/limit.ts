import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import type { Counted } from '../context.ts';
import { createBusy } from '../rich_error.ts';

/** How many calls may be open, of all connections of one server together. */
export interface LimitOptions {
  max: number;
}

/**
 * Ends a call with RESOURCE_EXHAUSTED where there are too many, and says when to try again. The engine has
 * counted it already.
 */
export function limit({ max }: LimitOptions) {
  const tooMany = createBusy(`Cannot take more calls: at most ${max} at once`);

  const middleware: ServerMiddleware<{}, Counted> = <Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Counted>,
    context: CallContext & Counted,
  ) => {
    if (!context.isUnlimited && context.calls.limited > max) throw tooMany();
    return call.next(call.request, context);
  };
  return middleware;
}
