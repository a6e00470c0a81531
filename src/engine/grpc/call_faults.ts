import type { ServerError } from 'nice-grpc-common';

/**
 * What a call can do wrong on purpose. What ends the call ends it with `error`, for middleware, log and metrics. Over
 * HTTP/1.1, what resets the stream closes the connection.
 */
export interface CallFaults {
  /** Changes the following response messages, and the end of the response. */
  ofResponse: ResponseFault | undefined;
  /** Resets the stream with an error code of RFC 9113 section 7. */
  reset(code: number, error: ServerError): void;
  /** Closes the connection, with a TCP RST if it is not encrypted. */
  drop(error: ServerError): void;
  /** Starts graceful shutdown of the connection: GOAWAY. */
  retire(): void;
  /** Ends the response after its messages so far, without trailers. */
  endResponse(error: ServerError): void;
  /** Responds with this HTTP status, and without a gRPC status. */
  respond(httpStatus: number, error: ServerError): void;
}

/** Deliberate faults of a response. */
export interface ResponseFault {
  /** The encoding to announce; it must be set before the headers are sent. */
  readonly encoding?: string | undefined;
  /** Returns the parts to send instead of a message with its prefix (Length-Prefixed-Message), each when it is due. */
  readonly message?: ((framed: Uint8Array) => AsyncIterable<Uint8Array>) | undefined;
  /** True if the response ends without trailers. */
  readonly hasNoTrailers?: boolean;
}
