import { createServer as createDirect, type GrpcServerOptions } from '../engine/index.ts';
import { createBusy } from '../rich_error.ts';
import { type Exempt, exemptIn } from './catalogue.ts';
import type { Engine, EngineName, Limits } from './engine_types.ts';
import type { WebDeps } from '../web/web.ts';
import { createUnknownMethods } from './unknown_method.ts';

/** What an engine is told beside its limits. */
export interface EngineOptions {
  /** Told what goes wrong with connections; grpc-js has no word of it. */
  onIncident?: GrpcServerOptions['onIncident'];
  /** Which methods are exempt from limits; none, if it is left out. */
  exempt?: Pick<Exempt, 'unlimited' | 'essential'>;
  /** What Connect, gRPC-Web and JSON are served with; without it they are refused. grpc-js serves none of them. */
  web?: Omit<WebDeps, 'maxMessageSize'> | undefined;
}

/**
 * Makes the server, which listens on nothing yet; grpc-js is loaded only for its own.
 */
export async function createEngine(
  name: EngineName,
  limits: Limits,
  { onIncident, exempt: { unlimited, essential } = exemptIn([]), web }: EngineOptions = {},
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
      loadWeb: web && (() => loadWeb({ ...web, maxMessageSize })),
      maxBufferedBytes,
      maxConnections,
      maxCalls: limits.maxInFlight,
      maxStreams: 1.1 * (limits.maxInFlight ?? Number.POSITIVE_INFINITY) + 100,
      maxHandshakes: limits.maxHandshakes,
      maxMessageSize,
      compressAbove: limits.compressResponsesAbove,
      unlimited,
      essential,
      createBusy,
      describeUnknown: createUnknownMethods,
    });
  }
  const { createServer } = await import('./grpc_js.ts');
  return createServer(limits, { unlimited });
}

async function loadWeb(deps: WebDeps) {
  const { createWeb } = await import('../web/web.ts');
  return createWeb(deps);
}
