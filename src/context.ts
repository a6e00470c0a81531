import type { Span } from '@opentelemetry/api';
import type { CallContext, Status } from 'nice-grpc-common';
import type { Logger } from 'pino';
import type {
  Abortable,
  Compressible,
  Connected,
  Drainable,
  Retaining,
  Timed,
} from './engine/index.ts';

export type {
  Abortable,
  Compressible,
  Connected,
  Counted,
  Drainable,
  Faulty,
  Sending,
  Timed,
  WithAuthority,
  WithProtocol,
} from './engine/index.ts';

/** Added by middleware/trace.ts, on servers that trace. */
export interface Traced {
  /** The span of the call: a parent for further spans; services may add attributes. */
  span?: Span;
  /** Ends the span, if it is recorded. Called by middleware/request_log.ts, which determines the status. */
  endSpan?: ((how: { ended: unknown; code: Status }) => void) | undefined;
}

/** A logger whose lines name the call. */
export type CallLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** Added by middleware/request_log.ts. */
export interface Logged {
  log: CallLog;
}

/** What the engine and the middleware add before a call reaches its service. */
export type Additions = Timed &
  Abortable &
  Connected &
  Retaining &
  Compressible &
  Traced &
  Logged &
  Drainable;

/** The context of every call. */
export type Call = CallContext & Additions;
