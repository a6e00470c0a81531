import type {
  Abortable,
  Compressible,
  Connected,
  Counted,
  Drainable,
  Spoken,
  Timed,
} from '../context.ts';
import type { GrpcServer } from '../engine/index.ts';

/**
 * What a server may be asked for by its peers, and how long; times are milliseconds, and Infinity for
 * ever. What is left out has the default of the engine.
 */
export interface Limits {
  /** Open connections; for one more an idle one goes, or it is closed as it comes. */
  maxConnections?: number | undefined;
  /** TLS handshakes under way at once; more wait, see engine/net/handshakes.ts. */
  maxHandshakes?: number | undefined;
  /** Bytes that all connections together may keep; see engine/net/connections.ts. */
  maxBufferedBytes?: number | undefined;
  /** Open calls of all connections, as middleware limits them; far more are refused before they are calls. */
  maxInFlight?: number | undefined;
  /** Open calls on one connection. */
  maxConcurrentStreams: number;
  /** The largest request message, in bytes; a larger one ends RESOURCE_EXHAUSTED. */
  maxMessageSize: number;
  /** Calls that one connection may reset before their response is complete; see engine/http2/limits.ts. */
  maxResetsPerSecond?: number | undefined;
  /** Frames of one connection that ask for no response; see engine/http2/limits.ts. */
  maxControlFramesPerSecond?: number | undefined;
  /** Responses of more bytes are compressed where the caller takes it. */
  compressResponsesAbove?: number | undefined;
  /** The largest list of request headers, in bytes; a larger one ends RESOURCE_EXHAUSTED. */
  maxHeaderSize?: number | undefined;
  /** Until a silent client is asked whether it is there. */
  keepaliveTime?: number | undefined;
  /** Until it must have answered. */
  keepaliveTimeout?: number | undefined;
  /** Until a connection without calls is left. */
  idleTimeout?: number | undefined;
  /** Until any connection is left, its calls aside. */
  maxConnectionAge?: number | undefined;
  /** From then until those calls are cut. */
  maxConnectionAgeGrace?: number | undefined;
}

/** What both engines add to nice-grpc's context, or one of them may. */
export type EngineAdditions = Timed &
  Abortable &
  Drainable &
  Counted &
  Connected &
  Compressible &
  Spoken;

/** A server behind the services, whichever it is: nice-grpc's `Server`, and `listen` on any address. */
export type Engine<Ext = EngineAdditions> = GrpcServer<Ext>;

/** Which server is behind the services. */
export type EngineName = 'direct' | 'grpc-js';
