import { Counter, Gauge, Registry } from 'prom-client';
import type { CallCounts } from './call_counts.ts';
import { addCallMetrics } from './call_metrics.ts';
import { addProcessMetrics, type ProcessFigures } from './process_metrics.ts';

/** The sources of metrics, read at each scrape. */
export interface MetricsSources {
  calls: CallCounts;
  /** What is open now; undefined if the engine cannot count it. */
  open: () => {
    calls: number;
    streams: number;
    connections: number | undefined;
    bufferedBytes: number | undefined;
    heldBytes: Readonly<Record<string, number>> | undefined;
    /** Large messages that wait for admission. */
    waitingMessages: number | undefined;
  };
  /** Connection errors by reason; see connection_errors.ts. */
  connectionErrors: () => Iterable<readonly [reason: string, count: number]>;
  /** Injected faults by name, calls with faults that are open, and calls that were served without theirs. */
  faults: { injected: ReadonlyMap<string, number>; active: number; overflow: number };
  /** Lost log lines; see log.ts. */
  droppedLogLines: () => number;
  /** All names of the health service, and whether they are SERVING. */
  health: () => Iterable<readonly [service: string, isServing: boolean]>;
  /** The version; the commit is empty if unknown. */
  build: Readonly<Record<'version' | 'commit', string>>;
  process: ProcessFigures;
  /** With TLS: when the first served certificate and the first client CA expire, in seconds since the epoch. */
  certificates?: Record<'notAfter' | 'clientCaNotAfter', () => number | undefined> | undefined;
}

/** Metrics in Prometheus' text format. */
export interface Metrics {
  /** The media type of the text. */
  contentType: string;
  /** The current values. */
  text: () => Promise<string>;
}

/** Creates the registry; values are read when the text is requested. */
export function createMetrics({ calls, process, ...sources }: MetricsSources): Metrics {
  const registry = new Registry();
  addCallMetrics(registry, calls);
  addOwnMetrics(registry, sources);
  addBuildInfo(registry, { ...sources.build, node_version: process.nodeVersion });
  addProcessMetrics(registry, process);
  return { contentType: registry.contentType, text: () => registry.metrics() };
}

/** The prefix of connection errors that are failed TLS handshakes. */
const ofHandshake = 'handshake_';

function addOwnMetrics(
  registry: Registry,
  {
    open,
    connectionErrors,
    faults,
    droppedLogLines,
    health,
    certificates,
  }: Omit<MetricsSources, 'calls' | 'build' | 'process'>,
): void {
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number | undefined) =>
    new Gauge({
      name: `greeter_${name}`,
      help,
      registers,
      collect() {
        const now = value();
        if (now === undefined) this.remove();
        else this.set(now);
      },
    });

  gauge('calls_in_flight', 'Open calls', () => open().calls);
  gauge('open_connections', 'Open connections', () => open().connections);
  gauge('open_streams', 'Open HTTP/2 streams', () => open().streams);
  gauge(
    'buffered_bytes',
    'Memory that connections hold in bytes, limited by --max-buffered-bytes',
    () => open().bufferedBytes,
  );
  gauge(
    'waiting_messages',
    'Large request messages that wait for admission under --max-buffered-bytes',
    () => open().waitingMessages,
  );
  const held = new Gauge({
    name: 'greeter_held_bytes',
    help: 'Memory that clients make the server hold in bytes, by category',
    labelNames: ['category'],
    registers: [],
    collect() {
      this.reset();
      for (const [category, bytes] of Object.entries(open().heldBytes ?? {})) {
        this.set({ category }, bytes);
      }
    },
  });
  registry.registerMetric(held);
  gauge(
    'tls_certificate_expiry_timestamp_seconds',
    'Earliest expiry in the served certificate chain, in seconds since the Unix epoch',
    () => certificates?.notAfter(),
  );
  gauge(
    'tls_client_ca_expiry_timestamp_seconds',
    'Earliest expiry of the client certificate authorities, in seconds since the Unix epoch',
    () => certificates?.clientCaNotAfter(),
  );
  const total = (name: string, help: string, value: () => number) =>
    registry.registerMetric(
      new Counter({
        name: `greeter_${name}`,
        help,
        registers: [],
        collect() {
          this.reset();
          this.inc(value());
        },
      }),
    );
  total(
    'log_lines_dropped_total',
    'Log lines that were dropped because the output failed or was too slow',
    droppedLogLines,
  );
  const countedBy = (
    label: string,
    name: string,
    help: string,
    counts: () => Iterable<readonly [string, number]>,
  ) =>
    registry.registerMetric(
      new Counter({
        name: `greeter_${name}`,
        help,
        labelNames: [label],
        registers: [],
        collect() {
          this.reset();
          for (const [value, count] of counts()) this.inc({ [label]: value }, count);
        },
      }),
    );
  countedBy('fault', 'faults_injected_total', 'Calls with an injected fault, by fault', () =>
    faults.injected.entries(),
  );
  gauge('faults_active', 'Open calls with faults', () => faults.active);
  total(
    'faults_overflow_total',
    'Calls that were served without their faults, as --max-faults calls with faults were open',
    () => faults.overflow,
  );
  countedBy(
    'reason',
    'connection_errors_total',
    'Connections that the server refused or closed, streams that it reset, and requests that are not gRPC, by reason',
    connectionErrors,
  );
  countedBy(
    'reason',
    'tls_handshake_errors_total',
    'Failed TLS handshakes by reason; greeter_connection_errors_total has them too',
    () => handshakesAmong(connectionErrors()),
  );
  const serving = new Gauge({
    name: 'greeter_health_serving',
    help: '1 if the health of the service is SERVING, otherwise 0',
    labelNames: ['service'],
    registers: [],
    collect() {
      for (const [service, isServing] of health()) this.set({ service }, isServing ? 1 : 0);
    },
  });
  registry.registerMetric(serving);
}

function* handshakesAmong(errors: Iterable<readonly [reason: string, count: number]>) {
  for (const [reason, count] of errors) {
    if (reason.startsWith(ofHandshake)) yield [reason.slice(ofHandshake.length), count] as const;
  }
}

function addBuildInfo(registry: Registry, build: Record<string, string>): void {
  new Gauge({
    name: 'greeter_build_info',
    help: '1, with the version of the server, its commit and the version of Node as labels',
    labelNames: Object.keys(build),
    registers: [registry],
  }).set(build, 1);
}
