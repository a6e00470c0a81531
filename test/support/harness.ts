import { setTimeout as sleep } from 'node:timers/promises';
import { type Channel, type Client, createChannel, createClient } from 'nice-grpc';
import { pino } from 'pino';
import { allDescriptors } from '../echo/descriptors.ts';
import { type EchoMethods, echoServices } from '../echo/echo.ts';
import { EchoDefinition } from '../echo/gen/echo.ts';
import { dialChannel, serverTls } from './tls.ts';
import { loadConfig } from '../../src/config.ts';
import type { Counts } from '../../src/engine/grpc/server.ts';
import type { OpenCalls } from '../../src/engine/grpc/open_calls.ts';
import type { TlsFiles } from '../../src/engine/net/tls_options.ts';
import { type CallCounts, createCallCounts } from '../../src/observability/call_counts.ts';
import { loadServices, type ServiceDeps } from '../../src/services.ts';
import { createHealthState, type HealthState } from '../../src/services/health_state.ts';
import type { EngineName, Limits } from '../../src/transport/engine_types.ts';
import { exemptIn, methodsOf } from '../../src/transport/catalogue.ts';
import type { CorsOrigins } from '../../src/web/cors.ts';
import { buildServer, type ChainDeps } from '../../src/transport/server.ts';
import { createEngine } from './engine.ts';

/** The engine under test: GREETER_ENGINE, as for the server itself. */
export const engineName: EngineName =
  process.env['GREETER_ENGINE'] === 'grpc-js' ? 'grpc-js' : 'direct';

/** The default settings, with load reports. */
const settings = { ...loadConfig({ flags: {}, env: {} }), loadReports: true };
const product = await loadServices(settings);
const served = [...product, ...echoServices()];

/** The names of the product's services. */
export const serviceNames = product.map(({ definition }) => definition.fullName);

/** Every method that tests can call, with its names in metrics. */
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
  /** Connection errors. */
  incidents: { reason: string; message: string; peer: string }[];
  /** The counts of calls. */
  calls: CallCounts;
  /** The open resources. */
  counts(): Counts;
  /** The open calls. */
  openCalls: OpenCalls;
  shutdown(): Promise<void>;
  forceShutdown(): void;
}

/** Options of a test's server. */
export interface ServeOptions extends Pick<
  ChainDeps,
  'trace' | 'accessLog' | 'faults' | 'loadReport'
> {
  engine?: EngineName;
  /** Methods of the echo service to replace. */
  echo?: EchoMethods | undefined;
  /** The dependencies of the product's services; by default those of the default settings. */
  deps?: Partial<ServiceDeps> | undefined;
  deadlines?: { max: number; fallback: number | undefined };
  maxInFlight?: number;
  maxMessageSize?: number;
  /** Further limits of the engine. */
  limits?: Partial<Limits>;
  /** Names and values, alternating, that every response has in its headers. */
  responseFields?: readonly string[];
  /** The origins whose pages may call; by default, none. */
  corsOrigins?: CorsOrigins;
  /** TLS files other than those under test, or false for none; with other files, only the test's own channels can connect. */
  tls?: TlsFiles | false | undefined;
}

/** Serves until the end of the test: use with `await using`. */
export async function serve({
  engine = engineName,
  echo,
  deps,
  trace,
  accessLog,
  faults,
  loadReport,
  deadlines = { max: 60_000, fallback: undefined },
  maxInFlight = 10_000,
  maxMessageSize = 4 * 1024 * 1024,
  limits,
  responseFields,
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
  const web = { descriptors: async () => allDescriptors(), isReady, corsOrigins };
  const server = buildServer(
    await createEngine(engine, all, { onIncident, exempt, responseFields, web }),
    {
      trace,
      log: pino({ base: null, level: 'debug' }, log),
      accessLog,
      counts: calls,
      deadlines,
      maxInFlight,
      faults,
      loadReport,
      ...(await servicesOf({ echo, deps, state, maxMessageSize, freeBytes })),
    },
  );
  const address = `127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 }, tls || undefined)}`;
  const channel = tls === false ? createChannel(address) : dialChannel(address);
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
      await server.calls.cut();
      channel.close();
      await server.shutdown();
    },
  };
}

interface ServicesOptions extends Pick<ServeOptions, 'echo' | 'deps' | 'maxMessageSize'> {
  state?: HealthState;
  freeBytes?: () => number;
}

/** The services of the product and of echo.proto, with their dependencies; health is SERVING. */
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
      ...settings,
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

/** A log line. */
export type Line = Record<string, unknown>;

/** A log that a test reads. */
export interface MemoryLog {
  /** All lines so far. */
  lines: Line[];
  /** The first line, past or future, with these fields. */
  line(fields: Line): Promise<Line>;
  /** Adds a line of JSON. */
  write(json: string): void;
}

/** Creates a log that keeps its lines. */
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

/** Resolves when the condition holds; it is checked in every turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + longestWaitMs;
  while (!condition()) {
    if (performance.now() > end)
      throw new Error(`Cannot wait longer until ${condition.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const longestWaitMs = 30_000;

/** Resolves when the condition holds; fails after half a minute, with the name of what it waited for. */
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

/** An async iterable to which a test pushes values. */
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
