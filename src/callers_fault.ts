import { ServerError, Status } from 'nice-grpc-common';

/**
 * INTERNAL where gRPC asks for that code though the caller is at fault: it does not keep to the
 * protocol. The log does not take it for a fault of ours.
 */
export class CallersFault extends ServerError {
  constructor(message: string, options?: ErrorOptions) {
    super(Status.INTERNAL, message);
    this.name = 'CallersFault';
    if (options?.cause !== undefined) this.cause = options.cause;
  }
}
