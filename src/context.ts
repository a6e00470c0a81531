import type { Span } from '@opentelemetry/api';
import type { CallContext, ServerError, Status } from 'nice-grpc-common';
import type { Logger } from 'pino';

/** Added by the engine. */
export interface Timed {
  /**
   * When the call must have ended, in milliseconds on the monotonic clock, performance.now(), which
   * nobody sets; undefined when it has all the time it wants. middleware/deadline.ts moves it closer
   * where our own ceiling is.
   */
  deadline: number | undefined;
}

/** Added by the engine. */
export interface Abortable {
  /**
   * Ends the call from outside, with this error: its signal aborts, and whatever its service waits
   * for throws. What the service throws then is an AbortError where the engine cannot say more.
   */
  abort: (error: ServerError) => void;
}

/** Added by the direct engine. */
export interface Sending {
  /**
   * Calls back, once, when all of the response has left, or with what cut the call before that. It is for
   * middleware that has seen the call end: what it sends may still wait for the peer's windows.
   */
  whenSent?: (done: OnSent) => void;
}

/** Told what cut a call whose response was on its way. */
export type OnSent = (cutBy?: Error) => void;

/** Added by the direct engine; see grpc/connection_info.ts. */
export interface Connected {
  connection?: {
    /** `client` is whose certificate the client has shown. */
    readonly tls: { readonly client: string | undefined } | undefined;
  };
}

/** Added by the direct engine to calls with a request stream. */
export interface Retaining {
  /**
   * Says how many bytes the service keeps of the requests before the last: they count against
   * `--max-buffered-bytes`, and a call that keeps too many may be reset for it.
   */
  retain?: ((bytes: number) => void) | undefined;
}

/** How the messages of a call are compressed: what a service may know, and say. */
export interface Compression {
  /** Whether the request came compressed; of a stream, the message that was taken last. */
  readonly requestCompressed: boolean;
  /**
   * Whether the responses from here on are compressed: true for each one, where the caller takes it, and
   * false for none; undefined, as at first, leaves it to the server's own rule. A service that means to
   * change it between messages sets it before the first one, which says that some may be.
   */
  compressResponses: boolean | undefined;
}

/** Added by the direct engine. */
export interface Compressible {
  compression?: Compression;
}

/** Added by an engine that knows. */
export interface Dialled {
  /** What the caller dialled: `HOST:PORT`, or whatever it says. */
  authority?: string;
}

/** Added by middleware/trace.ts, on servers that trace. */
export interface Traced {
  /** The call's span: a parent for others, and a place for what a service wants to have in it. */
  span?: Span;
  /** Ends it, where it is recorded: told by middleware/request_log.ts, which decides how a call ended. */
  endSpan?: ((how: { ended: unknown; code: Status }) => void) | undefined;
}

/** Writes lines that name a call. */
export type CallLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** Added by middleware/request_log.ts. */
export interface Logged {
  log: CallLog;
}

/** Added by middleware/drain.ts. */
export interface Drainable {
  /** Says that this call never ends by itself: it ends with UNAVAILABLE when the server leaves. */
  abortOnTerminate: () => void;
}

/** What engine and middleware have added by the time a call reaches a service. */
export type Additions = Timed &
  Abortable &
  Connected &
  Retaining &
  Compressible &
  Traced &
  Logged &
  Drainable;

/** What every call carries by then. */
export type Call = CallContext & Additions;
