import type { ServerError } from 'nice-grpc-common';
import type { Owner } from './grpc/compression.ts';

/** The protocol of a call. */
export type Protocol = 'grpc' | 'grpc-web' | 'connect';

/** An HTTP request that is not a gRPC call; see src/engine/README.md. */
export interface WebRequest {
  readonly version: '1.1' | '2.0';
  readonly method: string;
  /** The path with its query. */
  readonly path: string;
  readonly scheme: string;
  readonly authority: string;
  /** Names in lower case and values, alternating. */
  readonly fields: readonly string[];
  /** The body, which is read from the peer as it is iterated. Throws an AbortError if the peer leaves before its end. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborts when the peer no longer waits for the response. */
  readonly signal: AbortSignal;
  /** Milliseconds since its headers arrived. */
  readonly elapsed: number;
  /** The connection, for fair sharing of the threads that compress. */
  readonly owner: Owner;
  /** True if so many bytes of the request may be buffered. */
  admits(bytes: number): boolean;
  /** Sets the number of bytes that are buffered for the body, in whatever form. */
  keep(bytes: number): void;
  /**
   * Must be called before more than 64 KiB of a message are read. It waits until there is memory for a message of so
   * many bytes, and resolves to false if there is none.
   */
  admit(bytes: number): Promise<boolean>;
  /** The message has been passed to its call. */
  release(): void;
  /** The memory of the response that is not yet given to the connection. */
  readonly response: ResponseMemory;
  /**
   * Runs a task, which takes so much work (in units of about a quarter of a microsecond), in a turn of the event loop
   * that has quota for it.
   */
  inTurn<T>(work: number, task: () => T): T | Promise<T>;
  /** Opens a call, which ends with the request at the latest. */
  call(about: WebCallHead): WebCall;
}

/** The charge of a response. */
export interface ResponseMemory {
  /** Sets the number of bytes that are held. */
  keep(bytes: number): void;
  /** Another thread uses the bytes, or will: they are charged until endJob(), even if the peer leaves. */
  beginJob(): void;
  endJob(): void;
}

/** The response to a WebRequest. */
export interface WebResponse {
  readonly status: number;
  /** Names in lower case and values, alternating. */
  readonly fields: readonly string[];
  /** A body of bytes is given to the connection, which frees it. */
  readonly body?: AsyncIterable<Uint8Array> | Uint8Array | undefined;
  /** Names and values that are sent after the body. */
  readonly trailers?: (() => readonly string[]) | undefined;
}

/** Serves a request. An exception is a fault of the server. */
export type ServeWeb = (request: WebRequest) => Promise<WebResponse>;

/** The head of a call that was translated from another protocol. */
export interface WebCallHead {
  readonly path: string;
  readonly protocol: Protocol;
  /** True if the peer sends and gets JSON. */
  readonly isJson?: boolean | undefined;
  /** The metadata: names and values, alternating. */
  readonly fields: readonly string[];
  /** The timeout in milliseconds. */
  readonly timeout?: number | undefined;
  /** The reason why the call cannot be served, if any. */
  readonly fault?: ServerError | undefined;
}

/** A call from inside the process, with messages in protobuf's binary encoding. */
export interface WebCall {
  /** Sends a message; resolves when another one may be sent. */
  write(message: Uint8Array, how?: { isLast: boolean }): Promise<void>;
  /** Sends messages that have their prefixes (gRPC's Length-Prefixed-Message), in a buffer that the call owns then. */
  writeFramed(messages: Buffer): Promise<void>;
  /** Ends the request after its last message. */
  end(): void;
  /** Ends the call with an error, because a request message is invalid or cannot be accepted. */
  refuse(error: ServerError): void;
  /** Cancels the call. */
  cancel(): void;
  /** Resolves to the header metadata of the response. */
  header(): Promise<readonly string[]>;
  /** Resolves to the next response message, or undefined after the last. Throws if the call was reset. */
  next(): Promise<Uint8Array | undefined>;
  /** Does the same, with the prefix of the message. */
  nextFramed(): Promise<Uint8Array | undefined>;
  /** True if nothing reads the request any more. */
  readonly isRequestOver: boolean;
  /** The status and trailer metadata, known after the last message. */
  readonly trailer: readonly string[];
}
