import type { CallContext } from 'nice-grpc-common';
import type { Logger } from 'pino';

/** Added by the engine. */
export interface Timed {
  /**
   * When the call must have ended, in milliseconds since the epoch; undefined when it has all
   * the time it wants. middleware/deadline.ts moves it closer where our own ceiling is.
   */
  deadline: number | undefined;
}

/** Added by middleware/request_log.ts. */
export interface Logged {
  /** A logger whose lines name the call. */
  log: Logger;
}

/** Added by middleware/drain.ts. */
export interface Drainable {
  /** Says that this call never ends by itself: it ends with UNAVAILABLE when the server leaves. */
  abortOnTerminate: () => void;
}

/** What every call carries by the time it reaches a service. */
export type Call = CallContext & Timed & Logged & Drainable;
