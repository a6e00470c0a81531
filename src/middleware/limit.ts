import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import { createBusy } from '../rich_error.ts';

/** How many calls may be open. */
export interface LimitOptions {
  /** Of all connections of one server together. */
  max: number;
  /** How many are on that server, the one that asks and the exempt ones among them. */
  open: () => number;
  /** The paths of the methods that are neither refused nor counted. */
  exempt: ReadonlySet<string>;
}

/**
 * Ends a call with RESOURCE_EXHAUSTED where there are too many, and says when to try again. Who is open
 * is counted already (see drain.ts): what this costs, the few exempt calls pay.
 */
export function limit({ max, open, exempt }: LimitOptions) {
  const tooMany = createBusy(`Cannot take more calls: at most ${max} at once`);
  let openExempt = 0;

  const middleware: ServerMiddleware = (call, context) => {
    if (exempt.has(call.method.path)) return aside(call, context);
    if (open() - openExempt > max) throw tooMany();
    return call.next(call.request, context);
  };
  return middleware;

  async function* aside<Req, Res>(call: ServerMiddlewareCall<Req, Res>, context: CallContext) {
    openExempt++;
    try {
      return yield* call.next(call.request, context);
    } finally {
      openExempt--;
    }
  }
}
