import { setTimeout as sleep } from 'node:timers/promises';
import { diag, DiagLogLevel, type Tracer } from '@opentelemetry/api';
import { SDK_INFO, setGlobalErrorHandler } from '@opentelemetry/core';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanLimits,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { createExporter, type ExporterOptions } from './otlp.ts';

/** The exporter, sampler and limits of spans; times are in milliseconds. */
export interface TracingSettings extends ExporterOptions {
  /** Resource attributes of all spans. */
  resource: Readonly<Record<string, string>>;
  sampler: `${'' | 'parentbased_'}${'always_on' | 'always_off' | 'traceidratio'}`;
  /** The sampling ratio, from 0 to 1. */
  samplerRatio: number;
  /** The maximum delay of a span before its batch is sent. */
  scheduleDelay: number;
  exportTimeout: number;
  /** Spans beyond it are dropped. */
  maxQueueSize: number;
  maxExportBatchSize: number;
  /** The maximum number of attributes of a span, and their length in characters; spans have no events and no links. */
  spanLimits: SpanLimits;
}

/** Options of tracing. */
export interface TracingOptions extends TracingSettings {
  log: { warn(fields: object, message: string): void };
  /** The version of this server. */
  version: string;
  /** Milliseconds on a monotonic clock. */
  now?: () => number;
}

/** Creates and exports spans. */
export interface Tracing {
  tracer: Tracer;
  /** Exports pending spans; gives up after two seconds. Never rejects. */
  close: () => Promise<void>;
}

const closeMs = 2000;
/** The minimum interval of warnings about the collector, in milliseconds. */
const warnEveryMs = 60_000;

/**
 * Creates the tracer of the process. Spans wait in a bounded queue, so calls never wait for the collector; spans that
 * it does not take are dropped, with an occasional warning.
 */
export function createTracing(options: TracingOptions): Tracing {
  const { version, resource, scheduleDelay, exportTimeout } = options;
  const warn = createWarning(options);
  // The SDK has one global diagnostics logger.
  const words = (...args: unknown[]) => warn(args.map(String).join(' '));
  diag.setLogger(
    { error: words, warn: words, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  setGlobalErrorHandler((error) => warn(reasonOf(error)));

  const provider = new TracerProvider({
    resource: resourceFromAttributes({ ...SDK_INFO, 'service.version': version, ...resource }),
    sampler: createSampler(options),
    spanLimits: options.spanLimits,
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: createExporter(options),
        scheduledDelayMillis: scheduleDelay,
        exportTimeoutMillis: exportTimeout,
        maxQueueSize: options.maxQueueSize,
        maxExportBatchSize: options.maxExportBatchSize,
      }),
    ],
  });
  return {
    tracer: provider.getTracer('greeter', version),
    async close() {
      const timeout = new AbortController();
      const tooLong = sleep(closeMs, 'the collector takes too long', { signal: timeout.signal });
      const left = provider.shutdown().then(() => undefined, reasonOf);
      const reason = await Promise.race([left, tooLong]);
      timeout.abort();
      tooLong.catch(() => {});
      if (reason !== undefined) warn(reason);
      diag.disable();
    },
  };
}

function ignore(): void {}

/** Logs an error at most once per interval, with the number of occurrences. */
function createWarning({ log, url, now = performance.now.bind(performance) }: TracingOptions) {
  const collector = new URL(url).host;
  let quietUntil = -Infinity;
  let held = 0;
  return (reason: string) => {
    if (now() < quietUntil) {
      held++;
      return;
    }
    quietUntil = now() + warnEveryMs;
    log.warn({ collector, reason, heldBack: held }, 'spans may be lost');
    held = 0;
  };
}

/** If several addresses fail, the AggregateError has no message. */
function reasonOf(error: unknown): string {
  const { message, code }: { message?: unknown; code?: unknown } = Object(error);
  return [message, code].filter((part) => part !== undefined && part !== '').join(' ');
}

function createSampler({ sampler, samplerRatio }: TracingOptions): Sampler {
  const [, name] = sampler.split('parentbased_');
  return name === undefined
    ? rootSampler(sampler, samplerRatio)
    : new ParentBasedSampler({ root: rootSampler(name, samplerRatio) });
}

function rootSampler(name: string, ratio: number): Sampler {
  if (name === 'traceidratio') return new TraceIdRatioBasedSampler(ratio);
  return name === 'always_off' ? new AlwaysOffSampler() : new AlwaysOnSampler();
}
