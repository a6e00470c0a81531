import type { ServerError } from 'nice-grpc-common';

/** How a call came. */
export type Protocol = 'grpc' | 'grpc-web' | 'connect';

/** A request of HTTP that is no gRPC call by itself; see src/engine/README.md. */
export interface WebRequest {
  readonly version: '1.1' | '2.0';
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly scheme: string;
  readonly authority: string;
  /** Names in lower case and values, in turn. */
  readonly fields: readonly string[];
  /** The body is read as it is taken. Throws where the peer has gone before its end. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborts when nobody waits for the response any more. */
  readonly signal: AbortSignal;
  /** Whether there is room to keep so many bytes of it. */
  admits(bytes: number): boolean;
  /** Says how many bytes are kept of the body that was taken, in whatever form. */
  keep(bytes: number): void;
  /** Opens a call, which ends with the request at the latest. */
  call(about: WebCallHead): WebCall;
}

/** What is answered to a WebRequest. */
export interface WebResponse {
  readonly status: number;
  /** Names in lower case and values, in turn. */
  readonly fields: readonly string[];
  readonly body?: AsyncIterable<Uint8Array> | Uint8Array | undefined;
  /** Names and values after the body. */
  readonly trailers?: (() => readonly string[]) | undefined;
}

/** Serves a request. What it throws is a fault of ours. */
export type ServeWeb = (request: WebRequest) => Promise<WebResponse>;

/** What a call begins with. */
export interface WebCallHead {
  readonly path: string;
  readonly protocol: Protocol;
  /** Its metadata. */
  readonly fields: readonly string[];
  /** Milliseconds that its client gives it. */
  readonly timeout?: number | undefined;
  /** Why it cannot be served. */
  readonly fault?: ServerError | undefined;
}

/** A call that is made in the process, with messages as protobuf has them. */
export interface WebCall {
  /** Sends a message; resolves when there is room for another. */
  write(message: Uint8Array, how?: { isLast: boolean }): Promise<void>;
  /** There are no more messages. */
  end(): void;
  /** A message of its request is none, or cannot be taken: it ends with this error. */
  refuse(error: ServerError): void;
  /** Nobody waits for it any more. */
  cancel(): void;
  /** The response's metadata, once it is there. */
  header(): Promise<readonly string[]>;
  /** The next message of the response; undefined after the last. Throws where the call has broken down. */
  next(): Promise<Uint8Array | undefined>;
  /** The status and the metadata that end it, once there are no more messages. */
  readonly trailer: readonly string[];
}
