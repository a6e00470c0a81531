import type { Abortable, Compressible, Connected, Timed } from '../context.ts';
import { HealthDefinition } from '../gen/grpc/health/v1/health.ts';
import {
  createServer as createDirect,
  type GrpcServer,
  type GrpcServerOptions,
} from '../grpc/server.ts';
import { unlimitedPaths } from './catalogue.ts';
import { pathOf } from './paths.ts';

/**
 * What a server may be asked for by its peers, and how long; times are milliseconds, and Infinity for
 * ever. What is left out has the default of the engine.
 */
export interface Limits {
  /** Open connections; for one more an idle one goes, or it is closed as it comes. */
  maxConnections?: number | undefined;
  /** TLS handshakes under way at once; more wait, see grpc/handshakes.ts. */
  maxHandshakes?: number | undefined;
  /** Bytes that all connections together may keep; see http2/server.ts. */
  maxBufferedBytes?: number | undefined;
  /** Open calls of all connections, as middleware limits them; far more are refused before they are calls. */
  maxInFlight?: number | undefined;
  /** Open calls on one connection. */
  maxConcurrentStreams: number;
  /** The largest request message, in bytes; a larger one ends RESOURCE_EXHAUSTED. */
  maxMessageSize: number;
  /** Calls that one connection may reset before their response is complete; see http2/limits.ts. */
  maxResetsPerSecond?: number | undefined;
  /** Frames of one connection that ask for no response; see http2/limits.ts. */
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

/** A server behind the services, whichever it is: nice-grpc's `Server`, and `listen` on any address. */
export type Engine<Ext = Timed & Abortable & Connected & Compressible> = GrpcServer<Ext>;

/** Which server is behind the services. */
export type EngineName = 'direct' | 'grpc-js';

/**
 * Makes the server, which listens on nothing yet; grpc-js is loaded only for its own, and has no word of
 * incidents.
 */
export async function createEngine(
  name: EngineName,
  limits: Limits,
  onIncident?: GrpcServerOptions['onIncident'],
): Promise<Engine> {
  if (name === 'direct') {
    const { maxBufferedBytes, maxConcurrentStreams, maxConnections, maxMessageSize } = limits;
    return createDirect({
      limits: {
        maxConcurrentStreams,
        maxHeaderListSize: limits.maxHeaderSize,
        resetsPerSecond: limits.maxResetsPerSecond,
        controlFramesPerSecond: limits.maxControlFramesPerSecond,
      },
      times: {
        idle: limits.idleTimeout,
        keepalive: limits.keepaliveTime,
        keepaliveTimeout: limits.keepaliveTimeout,
        age: limits.maxConnectionAge,
        ageGrace: limits.maxConnectionAgeGrace,
      },
      onIncident,
      maxBufferedBytes,
      maxConnections,
      maxStreams: 1.1 * (limits.maxInFlight ?? Number.POSITIVE_INFINITY) + 100,
      maxHandshakes: limits.maxHandshakes,
      maxMessageSize,
      compressAbove: limits.compressResponsesAbove,
      // Probes are answered by a server that refuses other calls, or it would be restarted. Watch is no
      // probe: it stays, and what stays has to find room.
      unlimited: unlimitedPaths,
      essential: new Set([
        pathOf(HealthDefinition, HealthDefinition.methods.check),
        pathOf(HealthDefinition, HealthDefinition.methods.list),
      ]),
    });
  }
  const { createServer } = await import('./grpc_js.ts');
  return createServer(limits);
}
