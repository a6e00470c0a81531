import { createServer as createDirect, type GrpcServerOptions } from '../engine/index.ts';
import { createBusy } from '../rich_error.ts';
import { type Exempt, exemptIn } from './catalogue.ts';
import type { Engine, EngineName, Limits } from './engine_types.ts';
import { createUnknownMethods } from './unknown_method.ts';

/** What an engine is told beside its limits. */
export interface EngineOptions {
  /** Told what goes wrong with connections; grpc-js has no word of it. */
  onIncident?: GrpcServerOptions['onIncident'];
  /** Which methods are exempt from limits; none, if it is left out. */
  exempt?: Pick<Exempt, 'unlimited' | 'essential'>;
}

/**
 * Makes the server, which listens on nothing yet; grpc-js is loaded only for its own.
 */
export async function createEngine(
  name: EngineName,
  limits: Limits,
  { onIncident, exempt: { unlimited, essential } = exemptIn([]) }: EngineOptions = {},
): Promise<Engine> {
  if (name === 'direct') {
    return createDirect({
      ...directOptions(limits),
      onIncident,
      unlimited,
      essential,
      createBusy,
      describeUnknown: createUnknownMethods,
    });
  }
  const { createServer } = await import('./grpc_js.ts');
  return createServer(limits, { unlimited });
}

/** How long a client may take for the preface of HTTP/2, in milliseconds. */
const prefaceTimeout = 10_000;

/** The same limits as the direct engine names them. */
export function directOptions(limits: Limits): GrpcServerOptions {
  const { maxBufferedBytes, maxConnections, maxHandshakes, maxInFlight, maxMessageSize } = limits;
  return {
    limits: {
      maxConcurrentStreams: limits.maxConcurrentStreams,
      maxHeaderListSize: limits.maxHeaderSize,
      resetsPerSecond: limits.maxResetsPerSecond,
      controlFramesPerSecond: limits.maxControlFramesPerSecond,
    },
    times: {
      preface: prefaceTimeout,
      idle: limits.idleTimeout,
      keepalive: limits.keepaliveTime,
      keepaliveTimeout: limits.keepaliveTimeout,
      age: limits.maxConnectionAge,
      ageGrace: limits.maxConnectionAgeGrace,
    },
    maxBufferedBytes,
    maxConnections,
    maxCalls: maxInFlight,
    maxStreams: 1.1 * maxInFlight + 100,
    maxHandshakes,
    maxMessageSize,
    compressAbove: limits.compressResponsesAbove,
  };
}
