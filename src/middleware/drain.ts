import { isAbortError } from 'abort-controller-x';
import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import type { Drainable } from '../context.ts';
import { leaving } from '../errors.ts';

/** The calls of a server as they leave. */
export interface Drain {
  middleware: ServerMiddleware<Drainable>;
  /** How many calls are open. */
  open: () => number;
  /** Ends every endless call with UNAVAILABLE, now and from now on, so that clients reconnect elsewhere. */
  begin(): void;
  /** Ends every call with UNAVAILABLE, now and from now on. */
  cut(): void;
}

/** Follows every call, so that a leaving server can end those that would keep it. */
export function createDrain(): Drain {
  const open = new Set<AbortController>();
  const endless = new Set<AbortController>();
  let state: 'open' | 'draining' | 'cut' = 'open';

  async function* drain<Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Drainable>,
    context: CallContext,
  ) {
    if (state === 'cut') throw leaving();
    const ending = new AbortController();
    const signal = AbortSignal.any([context.signal, ending.signal]);
    const abortOnTerminate = () => (state === 'open' ? void endless.add(ending) : ending.abort());
    open.add(ending);

    try {
      return yield* call.next(call.request, { ...context, signal, abortOnTerminate });
    } catch (error) {
      if (ending.signal.aborted && isAbortError(error)) throw leaving();
      throw error;
    } finally {
      open.delete(ending);
      endless.delete(ending);
    }
  }

  return {
    middleware: drain,
    open: () => open.size,
    begin() {
      state = 'draining';
      for (const ending of endless) ending.abort();
    },
    cut() {
      state = 'cut';
      for (const ending of open) ending.abort();
    },
  };
}
