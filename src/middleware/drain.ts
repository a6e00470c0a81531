import { isAbortError } from 'abort-controller-x';
import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import type { Abortable, Drainable } from '../context.ts';
import { leaving } from '../errors.ts';

/** The calls of a server as they leave. */
export interface Drain {
  middleware: ServerMiddleware<Drainable, Abortable>;
  /** How many calls are open. */
  open: () => number;
  /** Ends every endless call with UNAVAILABLE, now and from now on, so that clients reconnect elsewhere. */
  begin(): void;
  /** Ends every call with UNAVAILABLE, now and from now on. */
  cut(): void;
}

/** Follows every call, so that a leaving server can end those that would keep it. */
export function createDrain(): Drain {
  const open = new Set<() => void>();
  const endless = new Set<() => void>();
  let state: 'open' | 'draining' | 'cut' = 'open';

  async function* drain<Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Drainable & Abortable>,
    context: CallContext & Abortable,
  ) {
    if (state === 'cut') throw leaving();
    let isEnded = false;
    const end = () => {
      isEnded = true;
      context.abort(leaving());
    };
    const abortOnTerminate = () => (state === 'open' ? void endless.add(end) : end());
    open.add(end);

    try {
      return yield* call.next(call.request, { ...context, abortOnTerminate });
    } catch (error) {
      if (isEnded && isAbortError(error)) throw leaving();
      throw error;
    } finally {
      open.delete(end);
      endless.delete(end);
    }
  }

  return {
    middleware: drain,
    open: () => open.size,
    begin() {
      state = 'draining';
      for (const end of endless) end();
    },
    cut() {
      state = 'cut';
      for (const end of open) end();
    },
  };
}
