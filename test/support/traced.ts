import { trace } from '../../src/middleware/trace.ts';
import { createTracing, type TracingOptions } from '../../src/observability/trace.ts';
import { type Collector, type SeenSpan, startCollector } from './collector.ts';
import { methods, type Running, serve, type ServeOptions } from './harness.ts';

/** A server with tracing, and the collector of its spans. */
export interface Traced {
  running: Running;
  collector: Collector;
  /** Ends the tracing; resolves with all spans. */
  spans: () => Promise<readonly SeenSpan[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options that export every span as JSON, in few batches. */
export const tracingOptions: Omit<TracingOptions, 'url'> = {
  headers: {},
  protocol: 'http/json',
  compression: 'none',
  timeout: 1000,
  ca: undefined,
  clientCertificate: undefined,
  clientKey: undefined,
  log: { warn: () => {} },
  version: '1.2.3',
  resource: { 'service.name': 'greeter' },
  sampler: 'parentbased_always_on',
  samplerRatio: 1,
  scheduleDelay: 60_000,
  exportTimeout: 1000,
  maxQueueSize: 2048,
  maxExportBatchSize: 512,
  spanLimits: {},
};

/** Serves with tracing until the end of the test: use with `await using`. */
export async function serveTraced(
  options: ServeOptions = {},
  sampling: Partial<Pick<TracingOptions, 'sampler' | 'samplerRatio' | 'spanLimits'>> = {},
): Promise<Traced> {
  const collector = await startCollector();
  const url = `${collector.url}/v1/traces`;
  const { tracer, close } = createTracing({ ...tracingOptions, ...sampling, url });
  const running = await serve({
    ...options,
    trace: trace({ tracer, methods: methods.map(({ path }) => path) }),
  });
  return {
    running,
    collector,
    async spans() {
      await close();
      return collector.spans;
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await close();
      await collector[Symbol.asyncDispose]();
    },
  };
}
