import {
  createRouter as createBareRouter,
  type Router,
  type RouterOptions,
} from '../../src/engine/grpc/router.ts';
import {
  createServer as createGrpcServer,
  type GrpcServerOptions,
} from '../../src/engine/grpc/server.ts';
import { fixedLimits, type Http2Limits } from '../../src/engine/http2/limits.ts';
import type { SocketTimes } from '../../src/engine/net/connection_times.ts';
import {
  createHttp2Server as createBareHttp2Server,
  type Http2Server,
  type Http2ServerOptions,
} from '../../src/engine/net/connections.ts';
import {
  createEngine as createBareEngine,
  directOptions,
  type EngineOptions,
} from '../../src/transport/engine.ts';
import type { Engine, EngineName, Limits } from '../../src/transport/engine_types.ts';

/** What servers of tests bear where a test says nothing else: no limit that depends on the machine. */
const limits: Limits = {
  maxConnections: 15_000,
  maxHandshakes: 256,
  maxBufferedBytes: 64 * 1024 * 1024,
  maxInFlight: Number.POSITIVE_INFINITY,
  maxConcurrentStreams: 1000,
  maxMessageSize: 4 * 1024 * 1024,
  maxResetsPerSecond: 500,
  maxControlFramesPerSecond: 500,
  compressResponsesAbove: undefined,
  maxHeaderSize: 16 * 1024,
  keepaliveTime: 60_000,
  keepaliveTimeout: 20_000,
  idleTimeout: 300_000,
  maxConnectionAge: Number.POSITIVE_INFINITY,
  maxConnectionAgeGrace: 20_000,
};

const direct = directOptions(limits);

/** The same of one connection. */
export const defaultLimits: Http2Limits = { ...fixedLimits, ...direct.limits };

/** What a test wants otherwise. */
export type Http2TestOptions = Partial<Omit<Http2ServerOptions, 'limits' | 'times'>> & {
  limits?: Partial<Http2Limits>;
  times?: Partial<SocketTimes>;
};

/** createHttp2Server(), with what a test wants otherwise. */
export function createHttp2Server({
  limits: changed,
  times,
  ...more
}: Http2TestOptions & Pick<Http2ServerOptions, 'serve'>): Http2Server {
  const { maxBufferedBytes, maxCalls, maxConnections, maxStreams } = direct;
  return createBareHttp2Server({
    maxBufferedBytes,
    maxCalls,
    maxConnections,
    maxStreams,
    limits: { ...direct.limits, ...changed },
    times: { ...direct.times, ...times },
    ...more,
  });
}

/** createRouter(), with what a test wants otherwise. */
export function createRouter(changed: Partial<RouterOptions> = {}): Router {
  return createBareRouter({ maxMessageSize: limits.maxMessageSize, ...changed });
}

/** The direct engine, with what a test wants otherwise. */
export function createServer({
  limits: changed,
  times,
  ...more
}: Partial<Omit<GrpcServerOptions, 'limits' | 'times'>> &
  Pick<Http2TestOptions, 'limits' | 'times'> = {}) {
  return createGrpcServer({
    ...direct,
    limits: { ...direct.limits, ...changed },
    times: { ...direct.times, ...times },
    ...more,
  });
}

/** createEngine(), with what a test wants otherwise. */
export function createEngine(
  name: EngineName,
  changed: Partial<Limits> = {},
  options?: EngineOptions,
): Promise<Engine> {
  return createBareEngine(name, { ...limits, ...changed }, options);
}
