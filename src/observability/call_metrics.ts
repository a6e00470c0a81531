import { Counter, Histogram, type Registry } from 'prom-client';
import { bucketsMs, type CallCounts, type MethodCounts } from './call_counts.ts';

const labelNames = ['grpc_type', 'grpc_service', 'grpc_method'] as const;

/** Status codes as grpc-go spells them, and so most dashboards. */
const codeNames = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
];

/** Adds the metrics of calls, named as in grpc-ecosystem's go-grpc-middleware; they are read at each scrape. */
export function addCallMetrics(registry: Registry, calls: CallCounts): void {
  const series = calls.all().map((counts) => ({ counts, labels: labelsOf(counts) }));
  const counter = (name: string, help: string, value: (counts: MethodCounts) => number) =>
    new Counter({
      name: `grpc_server_${name}_total`,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { counts, labels } of series) this.inc(labels, value(counts));
      },
    });

  counter('started', 'Calls that were started', ({ started }) => started);
  const handled = new Counter({
    name: 'grpc_server_handled_total',
    help: 'Calls that have ended, by status code',
    labelNames: [...labelNames, 'grpc_code'],
    registers: [],
    collect() {
      this.reset();
      for (const { counts, labels } of series) {
        for (const [code, grpc_code] of codeNames.entries()) {
          const count = counts.handled[code] ?? 0;
          if (count > 0 || code === 0) this.inc({ ...labels, grpc_code }, count);
        }
      }
    },
  });
  registry.registerMetric(handled);
  counter('msg_received', 'Request messages that handlers have read', ({ received }) => received);
  counter('msg_sent', 'Response messages that were sent', ({ sent }) => sent);
  addHistogram(registry, series);
  addProtocols(registry, calls);
}

/** A counter of its own, as go-grpc-middleware has no label for the protocol. */
function addProtocols(registry: Registry, { protocols }: CallCounts): void {
  const counter = new Counter({
    name: 'greeter_calls_total',
    help: 'Calls that have started, by protocol',
    labelNames: ['protocol'],
    registers: [],
    collect() {
      this.reset();
      for (const [protocol, count] of Object.entries(protocols)) this.inc({ protocol }, count);
    },
  });
  registry.registerMetric(counter);
}

interface Series {
  counts: MethodCounts;
  labels: Record<(typeof labelNames)[number], string>;
}

function labelsOf({ type, service, method }: MethodCounts): Series['labels'] {
  return { grpc_type: type, grpc_service: service, grpc_method: method };
}

/**
 * prom-client's histograms take single observations; these buckets are already counted, so this adds them directly.
 */
function addHistogram(registry: Registry, series: readonly Series[]): void {
  const name = 'grpc_server_handling_seconds';
  const help = 'How long calls took, until they ended';
  const histogram = new Histogram({ name, help, labelNames, registers: [registry] });
  const getForPromString = async () => ({
    name,
    help,
    type: 'histogram',
    values: series.flatMap((each) => valuesOf(name, each)),
  });
  Object.assign(histogram, { getForPromString });
}

function valuesOf(name: string, { counts, labels }: Series) {
  const { buckets, tookMs } = counts;
  const bounds = [...bucketsMs.map((ms) => ms / 1000), '+Inf'];
  let sum = 0;
  const values = bounds.map((le, index) => {
    sum += buckets[index] ?? 0;
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: sum };
  });
  return [
    ...values,
    { metricName: `${name}_sum`, labels, value: tookMs / 1000 },
    { metricName: `${name}_count`, labels, value: sum },
  ];
}
