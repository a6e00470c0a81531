import type {
  Abortable,
  Compressible,
  Connected,
  Counted,
  Drainable,
  Timed,
  WithProtocol,
} from '../context.ts';
import type { GrpcServer } from '../engine/index.ts';

/**
 * Limits and timeouts of a server; times are in milliseconds, and Infinity means no limit.
 */
export interface Limits {
  /**
   * The maximum number of open connections; above it, an idle one is closed in favour of a new one, or the new one is
   * refused.
   */
  maxConnections: number;
  /** The maximum number of concurrent TLS handshakes; more are queued, see engine/net/handshakes.ts. */
  maxHandshakes: number;
  /** The maximum of buffered bytes of all connections; see engine/net/connections.ts. */
  maxBufferedBytes: number;
  /** The maximum number of open calls, enforced by middleware; far above it, streams are refused earlier. */
  maxInFlight: number;
  /** The maximum number of open calls per connection. */
  maxConcurrentStreams: number;
  /** The maximum request message in bytes; larger ones end with RESOURCE_EXHAUSTED. */
  maxMessageSize: number;
  /** The rate of resets per connection before the response is complete; see engine/http2/limits.ts. */
  maxResetsPerSecond: number;
  /** The rate of control frames per connection; see engine/http2/limits.ts. */
  maxControlFramesPerSecond: number;
  /** Responses of more bytes are compressed if the caller accepts it. */
  compressResponsesAbove: number | undefined;
  /** The maximum list of request headers in bytes; a larger one ends with RESOURCE_EXHAUSTED. */
  maxHeaderSize: number;
  /** Inactivity before a keepalive PING is sent. */
  keepaliveTime: number;
  /** Time to answer it. */
  keepaliveTimeout: number;
  /** Time without calls before a connection is shut down gracefully. */
  idleTimeout: number;
  /** The maximum age of a connection before it is shut down gracefully. */
  maxConnectionAge: number;
  /** Time from then until its calls are cut. */
  maxConnectionAgeGrace: number;
}

/** What the engines add to nice-grpc's context. */
export type EngineAdditions = Timed &
  Abortable &
  Drainable &
  Counted &
  Connected &
  Compressible &
  WithProtocol;

/** The server behind the services: nice-grpc's `Server`, with `listen` on any address. */
export type Engine<Ext = EngineAdditions> = GrpcServer<Ext>;

/** The engine behind the services. */
export type EngineName = 'direct' | 'grpc-js';
