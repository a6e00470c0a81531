import { isAbortError } from 'abort-controller-x';
import type { CallContext, ServerMiddleware, ServerMiddlewareCall } from 'nice-grpc-common';
import { Bag, type Placed } from '../engine/bag.ts';
import type { Abortable, Drainable } from '../context.ts';
import { leaving } from '../errors.ts';

/** The calls of all servers of a process, as it leaves. */
export interface Drain {
  /** Follows the calls of one more server. */
  follow(): Followed;
  /** How many calls are open, on all servers together. */
  open: () => number;
  /** Ends every endless call with UNAVAILABLE, now and from now on, so that clients reconnect elsewhere. */
  begin(): void;
  /** Ends every call with UNAVAILABLE, now and from now on. */
  cut(): void;
}

/** The calls of one server. */
interface Followed {
  middleware: ServerMiddleware<Drainable, Abortable>;
  /** How many are open. */
  open: () => number;
}

/** Follows every call, so that a leaving process can end those that would keep it. */
export function createDrain(): Drain {
  const servers: Bag<OpenCall>[] = [];
  const endless = new Set<OpenCall>();
  let state: 'open' | 'draining' | 'cut' = 'open';

  return {
    follow,
    open: () => servers.reduce((sum, { size }) => sum + size, 0),
    begin() {
      state = 'draining';
      for (const call of endless) call.end();
    },
    cut() {
      state = 'cut';
      for (const open of servers) for (const call of open.all()) call.end();
    },
  };

  function follow(): Followed {
    const open = new Bag<OpenCall>();
    servers.push(open);
    return { middleware: drain, open: () => open.size };

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
  }
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
