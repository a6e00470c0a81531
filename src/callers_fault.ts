import { ServerError, Status } from 'nice-grpc-common';

interface FaultOptions extends ErrorOptions {
  /** The one that the caller asks for, with this message; INTERNAL, if it is left out. */
  code?: Status;
  /** What the log says of it; the message, if `code` is left out. */
  reason?: string;
}

/**
 * INTERNAL, or another code that says we failed, though it is the caller who asks for it: by not keeping
 * to the protocol, or in so many words. The log does not take it for a fault of ours.
 */
export class CallersFault extends ServerError {
  /** What the log says of it, if that is not in the caller's own words. */
  readonly reason: string | undefined;

  constructor(message: string, { code, cause, reason }: FaultOptions = {}) {
    super(code ?? Status.INTERNAL, message);
    this.reason = reason ?? (code === undefined ? message : undefined);
    this.name = 'CallersFault';
    if (cause !== undefined) this.cause = cause;
  }
}
