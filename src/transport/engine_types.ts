import type { Abortable, Compressible, Connected, Counted, Drainable, Timed } from '../context.ts';
import type { GrpcServer } from '../engine/index.ts';

/**
 * What a server may be asked for by its peers, and how long; times are milliseconds, and Infinity for ever.
 */
export interface Limits {
  /** Open connections; for one more an idle one goes, or it is closed as it comes. */
  maxConnections: number;
  /** TLS handshakes under way at once; more wait, see engine/net/handshakes.ts. */
  maxHandshakes: number;
  /** Bytes that all connections together may keep; see engine/net/connections.ts. */
  maxBufferedBytes: number;
  /** Open calls of all connections, as middleware limits them; far more are refused before they are calls. */
  maxInFlight: number;
  /** Open calls on one connection. */
  maxConcurrentStreams: number;
  /** The largest request message, in bytes; a larger one ends RESOURCE_EXHAUSTED. */
  maxMessageSize: number;
  /** Calls that one connection may reset before their response is complete; see engine/http2/limits.ts. */
  maxResetsPerSecond: number;
  /** Frames of one connection that ask for no response; see engine/http2/limits.ts. */
  maxControlFramesPerSecond: number;
  /** Responses of more bytes are compressed where the caller takes it. */
  compressResponsesAbove: number | undefined;
  /** The largest list of request headers, in bytes; a larger one ends RESOURCE_EXHAUSTED. */
  maxHeaderSize: number;
  /** Until a silent client is asked whether it is there. */
  keepaliveTime: number;
  /** Until it must have answered. */
  keepaliveTimeout: number;
  /** Until a connection without calls is left. */
  idleTimeout: number;
  /** Until any connection is left, its calls aside. */
  maxConnectionAge: number;
  /** From then until those calls are cut. */
  maxConnectionAgeGrace: number;
}

/** What both engines add to nice-grpc's context, or one of them may. */
export type EngineAdditions = Timed & Abortable & Drainable & Counted & Connected & Compressible;

/** A server behind the services, whichever it is: nice-grpc's `Server`, and `listen` on any address. */
export type Engine<Ext = EngineAdditions> = GrpcServer<Ext>;

/** Which server is behind the services. */
export type EngineName = 'direct' | 'grpc-js';
