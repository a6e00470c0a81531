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
  Dialled,
  Drainable,
  Sending,
  Spoken,
  Timed,
} from './engine/index.ts';

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
