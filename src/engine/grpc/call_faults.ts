import type { ServerError } from 'nice-grpc-common';

/**
 * What a call can do wrong on purpose. What ends the call ends it with `error`, for middleware, log and metrics. Over
 * HTTP/1.1, what resets the stream closes the connection.
 */
export interface CallFaults {
  /** Set for a call that was translated from another protocol, whose messages are buffered whole. */
  readonly translated: Translated | undefined;
  /** Changes the following response messages. */
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

/** A call that was translated from another protocol. */
export interface Translated {
  readonly isJson: boolean;
  /** The maximum of bytes of a message that such calls may be given. */
  readonly maxMessageSize: number;
}

/** Deliberate faults of a response. */
export interface ResponseFault {
  /** The encoding to announce; it must be set before the headers are sent. */
  readonly encoding?: string | undefined;
  /** Returns what to send instead of a message with its prefix (Length-Prefixed-Message). */
  readonly message?: ((framed: Uint8Array) => DistortedMessage) | undefined;
}

/** What is sent instead of a message. */
export interface DistortedMessage {
  /** The bytes of all parts. */
  readonly length: number;
  /** Yields each part when it is due. */
  readonly parts: AsyncIterable<Uint8Array>;
  /** Must be called when they are sent. Throws the error that the call ends with, if it ends there. */
  readonly sent: () => Promise<void> | undefined;
}
