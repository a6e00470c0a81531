import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { openAdmin } from './app/admin.ts';
import type { ProcessInfo } from './app/process_info.ts';
import { openTls } from './app/tls.ts';
import { openTracing } from './app/tracing.ts';
import type { Config } from './config.ts';
import { createFaultCounts } from './faults/counts.ts';
import { createFaults } from './faults/middleware.ts';
import type { Stoppable } from './lifecycle.ts';
import { type CallCounts, createCallCounts, endedCalls } from './observability/call_counts.ts';
import { createConnectionErrors } from './observability/connection_errors.ts';
import { createLog } from './observability/log.ts';
import { loadServices } from './services.ts';
import { createHealthState } from './services/health_state.ts';
import { exemptIn, methodsOf } from './transport/catalogue.ts';
import { createEngine } from './transport/engine.ts';
import type { Engine } from './transport/engine_types.ts';
import { buildHealthServer } from './transport/health_server.ts';
import { type Bound, listenOn } from './transport/listen.ts';
import { buildServer } from './transport/server.ts';

/** The running server. */
export interface App extends Stoppable {
  readonly log: Logger;
  /** The bound addresses by kind. */
  readonly bound: Readonly<Record<'grpc' | 'health' | 'admin', readonly Bound[]>>;
  readonly services: readonly string[];
  /** Reloads the TLS files; undefined without TLS, or if the engine cannot. */
  readonly reload: (() => void) | undefined;
  /**
   * Writes text between the log lines of a terminal. In a terminal, start and stop are reported as text instead of
   * log lines.
   */
  readonly tell: ((text: string) => void) | undefined;
  /** The number of open calls that graceful shutdown waits for. */
  openCalls(): number;
}

/** Milliseconds for sending the last frames of a connection that is closed. */
const lastFramesMs = 250;

/**
 * Creates everything once and passes it down: nothing below looks up anything. Throws a ListenError if an address
 * cannot be opened.
 */
export async function startApp(config: Config, processInfo: ProcessInfo): Promise<App> {
  const { logTo, isTerminal, version, hostname, figures } = processInfo;
  const auto = isTerminal ? 'human' : 'json';
  const format = config.logFormat === 'auto' ? auto : config.logFormat;
  const { log, print, dropped, flushNow, close } = await createLog({
    level: config.logLevel,
    format,
    to: logTo,
  });
  const isForPeople = isTerminal && format === 'human' && log.isLevelEnabled('info');
  processInfo.atExit(flushNow);
  processInfo.onWarning((err) => log.warn({ err }, 'process warning'));
  const services = await loadServices(config);
  const serviceNames = services.map(({ definition }) => definition.fullName);
  const methods = methodsOf(services);
  const tracing = await openTracing(config, { log, version, methods });
  const state = createHealthState(serviceNames);
  const counts = createCallCounts(methods);
  const connectionErrors = createConnectionErrors({ log });
  const load = config.loadReports ? await openLoadReports(processInfo, counts) : undefined;
  const faultCounts = createFaultCounts();
  const faultDeps = { counts: faultCounts, max: config.maxFaults, hostname };
  const served = {
    services,
    deps: {
      ...config,
      serviceNames,
      healthState: state,
      hostname,
      serverId: `${hostname}-${Math.round(figures.startedAt * 1000).toString(36)}`,
      freeBytes: () => config.maxBufferedBytes - (server.counts.bufferedBytes ?? -Infinity),
      report: load?.report,
    },
    trace: tracing?.middleware,
    log,
    accessLog: config.accessLog,
    counts,
    maxInFlight: config.maxInFlight,
    deadlines: { max: config.maxDeadline, fallback: config.defaultDeadline },
    loadReport: load?.middleware,
    faults: config.faults && createFaults({ ...faultDeps, rules: config.faults }),
  };
  const onIncident = connectionErrors.record;
  const exempt = exemptIn(services);
  const isReady = () => state.isServing('readiness');
  const web = { descriptors: loadDescriptors, isReady, corsOrigins: config.corsOrigins };
  const responseFields = config.identity ? identityOf(config, processInfo) : undefined;
  const engine = await createEngine(config.engine, config, {
    onIncident,
    exempt,
    responseFields,
    web,
  });
  const server = buildServer(engine, served);
  const healthServer =
    config.healthListen.length > 0
      ? await buildHealthServer({ ...served, limits: config, onIncident })
      : undefined;
  const servers = healthServer ? [server, healthServer] : [server];
  const tls = await openTls(config, log);
  const open = () => sumOf(servers);
  const parts = { log, counts, connectionErrors, state, open, processInfo };
  const sources = { ...parts, faults: faultCounts, droppedLogLines: dropped, certificates: tls };
  const admin = await openAdmin(config.adminListen, sources);
  const bound = await listenOnAll().catch((error) => {
    for (const each of [admin, ...servers]) each?.forceShutdown();
    throw error;
  });
  const stopWatching = tls?.watch(server.setTls);
  state.serving();
  let drained: Promise<unknown> | undefined;
  let cut: { served: number; cut: number } | undefined;
  if (!isForPeople) logPlaces();
  if (config.engine === 'grpc-js') log.info('serving gRPC only: no gRPC-Web, Connect or JSON');

  return {
    log,
    bound,
    services: serviceNames,
    reload: server.setTls && tls && (() => void tls.reload()),
    tell: isForPeople ? print : undefined,
    openCalls: () => servers.reduce((sum, { calls }) => sum + calls.finite, 0),
    beginShutdown() {
      const { shutdownDelay, drainTimeout } = config;
      if (!isForPeople) log.info({ shutdownDelay, drainTimeout }, 'shutting down');
      state.shuttingDown();
      // The server still listens: a client that finds no other server reconnects here and loses no call.
      if (config.shutdownDelay > 0) for (const each of servers) each.retireConnections?.();
    },
    async drain() {
      for (const { calls } of servers) void calls.drain();
      stopWatching?.();
      drained = Promise.all(servers.map((each) => each.shutdown()));
      await drained;
    },
    async kill() {
      const { streams } = sumOf(servers);
      cut = { served: endedCalls(counts), cut: streams };
      log.warn({ calls: streams }, 'cutting calls');
      await Promise.all(servers.map(({ calls }) => calls.cut()));
      await Promise.race([drained, sleep(lastFramesMs)]);
      for (const each of servers) each.forceShutdown();
    },
    async flush() {
      await tracing?.close();
      await admin?.close();
      log.info(cut ?? { served: endedCalls(counts), cut: 0 }, 'stopped');
      await close();
    },
  };

  async function listenOnAll() {
    const grpc = await listenOn(server, config.listen, tls?.pems);
    const health = healthServer ? await listenOn(healthServer, config.healthListen) : [];
    return { grpc, health, admin: admin?.bound ?? [] };
  }

  function logPlaces(): void {
    for (const where of bound.grpc) log.info(where, 'listening');
    for (const where of bound.health) log.info(where, 'listening for health');
    for (const where of bound.admin) log.info(where, 'admin listening');
  }
}

/** The response headers that name this server: names and values, alternating. */
function identityOf({ place }: Config, { hostname, version }: ProcessInfo): readonly string[] {
  return ['x-greeter-host', hostname, 'x-greeter-version', version, ...place];
}

/** Loads the descriptors with the first request that needs them. */
async function loadDescriptors() {
  const { descriptors } = await import('./services/descriptors.ts');
  return descriptors();
}

/** Its modules are loaded only on a server that reports its load. */
async function openLoadReports({ figures, capacity }: ProcessInfo, calls: CallCounts) {
  const { createLoadReports } = await import('./app/load_reports.ts');
  const now = performance.now.bind(performance);
  return createLoadReports({ calls, figures, capacity: capacity(), now });
}

/** Sums the counts of all servers; undefined if one of them cannot count. */
function sumOf(servers: readonly Pick<Engine, 'counts'>[]): Engine['counts'] {
  return servers
    .map(({ counts }) => counts)
    .reduce((sum, counts) => ({
      connections: plus(sum.connections, counts.connections),
      streams: sum.streams + counts.streams,
      calls: sum.calls + counts.calls,
      bufferedBytes: plus(sum.bufferedBytes, counts.bufferedBytes),
      heldBytes: merged(sum.heldBytes, counts.heldBytes),
      waitingMessages: plus(sum.waitingMessages, counts.waitingMessages),
    }));
}

function merged(
  one: Engine['counts']['heldBytes'],
  other: Engine['counts']['heldBytes'],
): Engine['counts']['heldBytes'] {
  if (!one || !other) return undefined;
  const sum: Record<string, number> = { ...one };
  for (const [category, bytes] of Object.entries(other)) {
    sum[category] = (sum[category] ?? 0) + bytes;
  }
  return sum;
}

function plus(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one + other;
}
