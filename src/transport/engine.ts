import { HealthDefinition } from '../gen/grpc/health/v1/health.ts';
import { createServer as createDirect, type GrpcServerOptions } from '../engine/index.ts';
import { createBusy } from '../rich_error.ts';
import { unlimitedPaths } from './catalogue.ts';
import type { Engine, EngineName, Limits } from './engine_types.ts';
import { pathOf } from './paths.ts';

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
      maxCalls: limits.maxInFlight,
      maxStreams: 1.1 * (limits.maxInFlight ?? Number.POSITIVE_INFINITY) + 100,
      maxHandshakes: limits.maxHandshakes,
      maxMessageSize,
      compressAbove: limits.compressResponsesAbove,
      // Probes are answered by a server that refuses other calls, or it would be restarted. Watch is no
      // probe: it stays, and what stays has to find room.
      unlimited: unlimitedPaths,
      createBusy,
      essential: new Set([
        pathOf(HealthDefinition, HealthDefinition.methods.check),
        pathOf(HealthDefinition, HealthDefinition.methods.list),
      ]),
    });
  }
  const { createServer } = await import('./grpc_js.ts');
  return createServer(limits, { unlimited: unlimitedPaths });
}
