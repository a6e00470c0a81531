import { createServer as createDirect, type GrpcServerOptions } from '../engine/index.ts';
import { addHeaders } from '../middleware/add_headers.ts';
import { createBusy } from '../rich_error.ts';
import { type Exempt, exemptIn } from './catalogue.ts';
import type { Engine, EngineName, Limits } from './engine_types.ts';
import type { WebDeps } from '../web/web.ts';
import { createUnknownMethods } from './unknown_method.ts';

/** Options of an engine other than limits. */
export interface EngineOptions {
  /** Called for connection errors; grpc-js reports none. */
  onIncident?: GrpcServerOptions['onIncident'];
  /** The methods that are exempt from limits; none by default. */
  exempt?: Pick<Exempt, 'unlimited' | 'essential'>;
  /** Names and values, alternating, that every response has in its headers. */
  responseFields?: readonly string[] | undefined;
  /** Serves Connect, gRPC-Web and JSON on the direct engine; without it, they are refused. */
  web?: Omit<WebDeps, 'maxMessageSize'> | undefined;
}

/** Creates the server, which does not listen yet; grpc-js is loaded only if it is chosen. */
export async function createEngine(
  name: EngineName,
  limits: Limits,
  {
    onIncident,
    exempt: { unlimited, essential } = exemptIn([]),
    responseFields,
    web,
  }: EngineOptions = {},
): Promise<Engine> {
  if (name === 'direct') {
    return createDirect({
      ...directOptions(limits),
      onIncident,
      loadWeb: web && (() => loadWeb({ ...web, maxMessageSize: limits.maxMessageSize })),
      responseFields,
      unlimited,
      essential,
      createBusy,
      describeUnknown: createUnknownMethods,
    });
  }
  const { createServer } = await import('./grpc_js.ts');
  const server = createServer(limits, { unlimited });
  return responseFields ? server.use(addHeaders(responseFields)) : server;
}

/** How long a client may take for the preface of HTTP/2, or the header of an HTTP/1.1 request, in milliseconds. */
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

async function loadWeb(deps: WebDeps) {
  const { createWeb } = await import('../web/web.ts');
  return createWeb(deps);
}
