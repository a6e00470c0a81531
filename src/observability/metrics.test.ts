import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Status } from 'nice-grpc-common';
import { parsePrometheus, type Sample } from '../../test/support/prometheus.ts';
import { createCallCounts } from './call_counts.ts';
import { createMetrics, type MetricsSources } from './metrics.ts';

const figures = {
  nodeVersion: 'v26.0.0',
  startedAt: 1_700_000_000_500,
  cpuUsage: () => ({ user: 1_500_000, system: 500_000 }),
  memoryUsage: () => ({ rss: 4, heapTotal: 3, heapUsed: 2, external: 1 }),
  heapLimit: () => 5,
  eventLoop: () => ({ active: 2000, idle: 8000 }),
};
const method = { path: '/a.B/C', service: 'a.B', method: 'C', type: 'unary' } as const;
const ofMethod = { grpc_type: 'unary', grpc_service: 'a.B', grpc_method: 'C' };
const heldBytes = { headers: 5, bodies: 6 };
const open = {
  calls: 1,
  streams: 2,
  connections: 3,
  bufferedBytes: 4,
  heldBytes,
  waitingMessages: 7,
};

/** Metrics with one method, and a function that reads them. */
function create(sources: Partial<MetricsSources> = {}) {
  const calls = createCallCounts([method]);
  const metrics = createMetrics({
    calls,
    open: () => open,
    faults: { injected: new Map([['reset', 9]]), active: 1, overflow: 3 },
    connectionErrors: () => [
      ['refused', 6],
      ['handshake_timeout', 7],
    ],
    droppedLogLines: () => 5,
    health: () => [
      ['', true],
      ['a.B', false],
    ],
    build: { version: '1.2.3', commit: 'abc' },
    process: figures,
    ...sources,
  });
  return { counts: calls.of(method.path), read: async () => parsePrometheus(await metrics.text()) };
}

/** The samples of a metric: the labels other than those of the method, and the value. */
function valuesOf(samples: readonly Sample[], name: string) {
  return samples
    .filter((sample) => sample.name === name && sample.labels['grpc_service'] !== 'unknown')
    .map(({ labels, value }) => [
      ...Object.entries(labels).flatMap(([key, text]) => (key in ofMethod ? [] : [text])),
      value,
    ]);
}

test('createMetrics() has series of every method from the start, with 0', async () => {
  const samples = await create().read();

  const names = ['started_total', 'msg_received_total', 'msg_sent_total', 'handling_seconds_count'];
  for (const name of names) {
    const all = samples.filter((sample) => sample.name === `grpc_server_${name}`);
    assert.deepEqual(
      all.map(({ labels, value }) => [Object.values(labels), value]),
      [
        [['unary', 'a.B', 'C'], 0],
        [['unknown', 'unknown', 'unknown'], 0],
      ],
    );
  }
  assert.deepEqual(valuesOf(samples, 'grpc_server_handled_total'), [['OK', 0]]);
});

test("createMetrics() counts calls with grpc-go's code names, and reads them at each scrape", async () => {
  const { counts, read } = create();
  counts.started = 4;
  for (const code of [Status.OK, Status.CANCELLED, Status.CANCELLED]) counts.ended(code, 1);

  await read();
  counts.ended(Status.INVALID_ARGUMENT, 1);
  const samples = await read();

  assert.deepEqual(valuesOf(samples, 'grpc_server_started_total'), [[4]]);
  assert.deepEqual(valuesOf(samples, 'grpc_server_handled_total'), [
    ['OK', 1],
    ['Canceled', 2],
    ['InvalidArgument', 1],
  ]);
});

test('createMetrics() has a histogram of durations, from 100 µs to 10 s', async () => {
  const { counts, read } = create();
  for (const ms of [0, 0.1, 0.2, 5, 6, 10_000, 10_001, -3]) counts.ended(Status.OK, ms);

  const samples = await read();

  const buckets = Object.fromEntries(valuesOf(samples, 'grpc_server_handling_seconds_bucket'));
  assert.partialDeepStrictEqual(buckets, {
    '0.0001': 3,
    '0.00025': 4,
    '0.0025': 4,
    '0.005': 5,
    '0.01': 6,
    '5': 6,
    '10': 7,
    '+Inf': 8,
  });
  assert.deepEqual(valuesOf(samples, 'grpc_server_handling_seconds_sum'), [[20.0123]]);
});

test('createMetrics() shows what is open, health, the build and the process', async () => {
  const samples = await create({
    certificates: { notAfter: () => 2_000_000_000, clientCaNotAfter: () => 2_100_000_000 },
  }).read();

  const told = Object.fromEntries(
    samples
      .filter(({ name }) => !name.startsWith('grpc_'))
      .map(({ name, labels, value }) => [[name, ...Object.values(labels)].join(' '), value]),
  );
  const { process_open_fds: files, nodejs_eventloop_lag_seconds: lag, ...rest } = told;
  assert.ok(Number(files) >= 0 && Number(lag) >= 0);
  assert.deepEqual(rest, {
    'greeter_calls_total grpc': 0,
    'greeter_calls_total grpc-web': 0,
    'greeter_calls_total connect': 0,
    greeter_calls_in_flight: 1,
    greeter_open_streams: 2,
    greeter_open_connections: 3,
    greeter_buffered_bytes: 4,
    greeter_waiting_messages: 7,
    'greeter_held_bytes headers': 5,
    'greeter_held_bytes bodies': 6,
    'greeter_connection_errors_total refused': 6,
    'greeter_connection_errors_total handshake_timeout': 7,
    'greeter_tls_handshake_errors_total timeout': 7,
    'greeter_faults_injected_total reset': 9,
    greeter_faults_active: 1,
    greeter_faults_overflow_total: 3,
    greeter_log_lines_dropped_total: 5,
    greeter_tls_certificate_expiry_timestamp_seconds: 2_000_000_000,
    greeter_tls_client_ca_expiry_timestamp_seconds: 2_100_000_000,
    'greeter_health_serving ': 1,
    'greeter_health_serving a.B': 0,
    'greeter_build_info 1.2.3 abc v26.0.0': 1,
    process_cpu_user_seconds_total: 1.5,
    process_cpu_system_seconds_total: 0.5,
    process_cpu_seconds_total: 2,
    process_start_time_seconds: 1_700_000_000.5,
    process_resident_memory_bytes: 4,
    nodejs_heap_size_total_bytes: 3,
    nodejs_heap_size_used_bytes: 2,
    nodejs_heap_size_limit_bytes: 5,
    nodejs_external_memory_bytes: 1,
    nodejs_eventloop_active_seconds_total: 2,
    nodejs_eventloop_idle_seconds_total: 8,
  });
});

test('createMetrics() omits values that are unknown', async () => {
  const samples = await create({
    open: () => ({
      ...open,
      connections: undefined,
      bufferedBytes: undefined,
      heldBytes: undefined,
      waitingMessages: undefined,
    }),
  }).read();

  const names = samples.map(({ name }) => name).filter((name) => name.startsWith('greeter_'));
  assert.deepEqual(
    new Set(names),
    new Set([
      'greeter_calls_total',
      'greeter_calls_in_flight',
      'greeter_open_streams',
      'greeter_connection_errors_total',
      'greeter_tls_handshake_errors_total',
      'greeter_faults_injected_total',
      'greeter_faults_active',
      'greeter_faults_overflow_total',
      'greeter_log_lines_dropped_total',
      'greeter_health_serving',
      'greeter_build_info',
    ]),
  );
});

test('the alerts in docs/operate.md name series that exist', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/operate.md'), 'utf8');
  const [, alerts = ''] = /^```promql\n([^]*?)\n```$/m.exec(page) ?? [];
  const named = alerts.match(/\b(?:grpc_server|greeter)_\w+/g) ?? [];

  const samples = await create({
    certificates: { notAfter: () => 2_000_000_000, clientCaNotAfter: () => undefined },
  }).read();

  const names = new Set(samples.map(({ name }) => name));
  assert.ok(named.length >= 5);
  assert.deepEqual(
    named.filter((name) => !names.has(name)),
    [],
  );
});
