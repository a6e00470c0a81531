import { ServerError, Status } from 'nice-grpc-common';

interface FaultOptions extends ErrorOptions {
  /** INTERNAL, if it is left out. */
  code?: Status;
}

/**
 * INTERNAL, or another code that says we failed, though it is the caller who asks for it: by not keeping
 * to the protocol, or in so many words. The log does not take it for a fault of ours.
 */
export class CallersFault extends ServerError {
  constructor(message: string, { code = Status.INTERNAL, cause }: FaultOptions = {}) {
    super(code, message);
    this.name = 'CallersFault';
    if (cause !== undefined) this.cause = cause;
  }
}
