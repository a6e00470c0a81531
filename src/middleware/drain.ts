import { isAbortError } from 'abort-controller-x';
import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import { Bag, type Placed } from '../bag.ts';
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
  const open = new Bag<OpenCall>();
  const endless = new Set<OpenCall>();
  let state: 'open' | 'draining' | 'cut' = 'open';

  async function* drain<Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Drainable & Abortable>,
    context: CallContext & Abortable,
  ) {
    if (state === 'cut') throw leaving();
    const self = new OpenCall(context);
    const abortOnTerminate = () => (state === 'open' ? void endless.add(self) : self.end());
    open.add(self);

    try {
      return yield* call.next(call.request, { ...context, abortOnTerminate });
    } catch (error) {
      if (self.isEnded && isAbortError(error)) throw leaving();
      throw error;
    } finally {
      open.delete(self);
      endless.delete(self);
    }
  }

  return {
    middleware: drain,
    open: () => open.size,
    begin() {
      state = 'draining';
      for (const call of endless) call.end();
    },
    cut() {
      state = 'cut';
      for (const call of open.all()) call.end();
    },
  };
}

class OpenCall implements Placed {
  slot = -1;
  isEnded = false;
  readonly #context: Abortable;

  constructor(context: Abortable) {
    this.#context = context;
  }

  end(): void {
    this.isEnded = true;
    this.#context.abort(leaving());
  }
}
