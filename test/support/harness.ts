import { setTimeout as sleep } from 'node:timers/promises';
import { type Channel, type Client, createClient } from 'nice-grpc';
import { pino } from 'pino';
import { type EchoMethods, echoServices } from '../echo/echo.ts';
import { EchoDefinition } from '../echo/gen/echo.ts';
import { dialChannel, serverTls } from './tls.ts';
import { loadConfig } from '../../src/config.ts';
import type { Counts } from '../../src/engine/grpc/server.ts';
import type { OpenCalls } from '../../src/engine/grpc/open_calls.ts';
import type { TlsFiles } from '../../src/engine/net/tls_options.ts';
import { type CallCounts, createCallCounts } from '../../src/observability/call_counts.ts';
import { loadServices, type ServiceDeps } from '../../src/services.ts';
import { descriptors } from '../../src/services/descriptors.ts';
import { createHealthState, type HealthState } from '../../src/services/health_state.ts';
import { createEngine } from '../../src/transport/engine.ts';
import type { EngineName, Limits } from '../../src/transport/engine_types.ts';
import { exemptIn, methodsOf } from '../../src/transport/catalogue.ts';
import type { CorsOrigins } from '../../src/web/cors.ts';
import { buildServer, type ChainDeps } from '../../src/transport/server.ts';

/** The engine under test: GREETER_ENGINE, as for the server itself. */
export const engineName: EngineName =
  process.env['GREETER_ENGINE'] === 'grpc-js' ? 'grpc-js' : 'direct';

const settings = { interop: true, loadReports: false };
const product = await loadServices(settings);
const served = [...product, ...echoServices()];

/** The names of the product's services. */
export const serviceNames = product.map(({ definition }) => definition.fullName);

/** Every method that tests can call, as metrics name it. */
export const methods = methodsOf(served);

/** The paths that are exempt from limits. */
export const exempt = exemptIn(served);

/** A server with the whole chain on a free port, and a client of its echo service. */
export interface Running extends AsyncDisposable {
  address: string;
  channel: Channel;
  client: Client<typeof EchoDefinition>;
  state: HealthState;
  log: MemoryLog;
  /** What went wrong with connections. */
  incidents: { reason: string; message: string; peer: string }[];
  /** What calls have come to. */
  calls: CallCounts;
  /** What is open. */
  counts(): Counts;
  /** The calls among that. */
  openCalls: OpenCalls;
  shutdown(): Promise<void>;
  forceShutdown(): void;
}

/** What a test wants otherwise. */
export interface ServeOptions extends Pick<ChainDeps, 'trace' | 'accessLog' | 'loadReport'> {
  engine?: EngineName;
  /** Methods of the echo service that behave otherwise. */
  echo?: EchoMethods | undefined;
  /** What the product's services are made from, where it is not what the settings' defaults say. */
  deps?: Partial<ServiceDeps> | undefined;
  deadlines?: { max: number; fallback: number | undefined };
  maxInFlight?: number;
  maxMessageSize?: number;
  /** What else the engine is told. */
  limits?: Partial<Limits>;
  corsOrigins?: CorsOrigins;
  /** What to serve with, other than what is under test; then only channels of the test's own reach it. */
  tls?: TlsFiles | undefined;
}

/** Serves until the end of the test: use with `await using`. */
export async function serve({
  engine = engineName,
  echo,
  deps,
  trace,
  accessLog,
  loadReport,
  deadlines = { max: 60_000, fallback: undefined },
  maxInFlight = 10_000,
  maxMessageSize = 4 * 1024 * 1024,
  limits,
  corsOrigins = 'off',
  tls = serverTls,
}: ServeOptions = {}): Promise<Running> {
  const log = memoryLog();
  const { maxBufferedBytes = Number.POSITIVE_INFINITY } = limits ?? {};
  const freeBytes = () => maxBufferedBytes - (server.counts.bufferedBytes ?? 0);
  const calls = createCallCounts(methods);
  const state = servingState();
  const all = { maxConcurrentStreams: 1000, maxMessageSize, ...limits };
  const incidents: Running['incidents'] = [];
  const onIncident = (event: Running['incidents'][number]) => void incidents.push(event);
  const isReady = () => state.isServing('readiness');
  const web = { descriptors: async () => descriptors(), isReady, corsOrigins };
  const server = buildServer(await createEngine(engine, all, { onIncident, exempt, web }), {
    trace,
    log: pino({ base: null, level: 'debug' }, log),
    accessLog,
    counts: calls,
    deadlines,
    maxInFlight,
    loadReport,
    ...(await servicesOf({ echo, deps, state, maxMessageSize, freeBytes })),
  });
  const address = `127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 }, tls)}`;
  const channel = dialChannel(address);
  return {
    address,
    channel,
    client: createClient(EchoDefinition, channel),
    state,
    log,
    incidents,
    calls,
    counts: () => server.counts,
    openCalls: server.calls,
    shutdown: () => server.shutdown(),
    forceShutdown: () => server.forceShutdown(),
    async [Symbol.asyncDispose]() {
      server.calls.cut();
      channel.close();
      await server.shutdown();
    },
  };
}

interface ServicesOptions extends Pick<ServeOptions, 'echo' | 'deps' | 'maxMessageSize'> {
  state?: HealthState;
  freeBytes?: () => number;
}

/** The services of the product and of echo.proto, and what they are made from; health says that they serve. */
export async function servicesOf({
  echo,
  deps,
  state = servingState(),
  maxMessageSize = 4 * 1024 * 1024,
  freeBytes = () => Number.POSITIVE_INFINITY,
}: ServicesOptions = {}) {
  return {
    services: [...(await loadServices(settings)), ...echoServices(echo)],
    deps: {
      ...loadConfig({ flags: {}, env: {} }),
      healthState: state,
      serviceNames,
      maxMessageSize,
      freeBytes,
      hostname: 'host',
      serverId: 'one',
      report: undefined,
      minReportInterval: 10,
      ...deps,
    },
  };
}

function servingState(): HealthState {
  const state = createHealthState(serviceNames);
  state.serving();
  return state;
}

/** A line of the log. */
export type Line = Record<string, unknown>;

/** A log that a test reads. */
export interface MemoryLog {
  /** All lines so far. */
  lines: Line[];
  /** The first line, past or to come, that has these fields. */
  line(fields: Line): Promise<Line>;
  /** Takes a line of JSON. */
  write(json: string): void;
}

/** Makes a log that keeps its lines. */
export function memoryLog(): MemoryLog {
  const lines: Line[] = [];
  const waiting = new Set<() => void>();
  return {
    lines,
    async line(fields) {
      while (true) {
        const found = lines.find((line) => Object.entries(fields).every(([k, v]) => line[k] === v));
        if (found) return found;
        await new Promise<void>((resolve, reject) => {
          const message = `Cannot wait longer for the line ${JSON.stringify(fields)} in the log`;
          const timer = setTimeout(() => reject(new Error(message)), longestWaitMs).unref();
          waiting.add(() => {
            clearTimeout(timer);
            resolve();
          });
        });
      }
    },
    write(json) {
      lines.push(JSON.parse(json));
      for (const resolve of waiting) resolve();
      waiting.clear();
    },
  };
}

/** Resolves when the condition holds; asks again with every turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + longestWaitMs;
  while (!condition()) {
    if (performance.now() > end)
      throw new Error(`Cannot wait longer until ${condition.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const longestWaitMs = 30_000;

/** Resolves when the condition holds, however it is found out; fails after half a minute, with its name. */
export async function eventually(
  name: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = performance.now() + longestWaitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`Cannot wait longer for ${name}`);
    await sleep(10);
  }
}

/** An async iterable that is fed by hand. */
export function feed<T>(): { push(value: T): void; end(): void } & AsyncIterable<T> {
  const values: T[] = [];
  let ended = false;
  let wake = Promise.withResolvers<void>();
  return {
    push(value) {
      values.push(value);
      wake.resolve();
    },
    end() {
      ended = true;
      wake.resolve();
    },
    async *[Symbol.asyncIterator]() {
      while (true) {
        const [value] = values.splice(0, 1);
        if (value !== undefined) yield value;
        else if (ended) return;
        else {
          await wake.promise;
          wake = Promise.withResolvers();
        }
      }
    },
  };
}
