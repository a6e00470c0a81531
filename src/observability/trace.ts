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

/** Which spans are made and where they go, as operators say; times are milliseconds. */
export interface TracingSettings extends ExporterOptions {
  /** What every span says of this server. */
  resource: Readonly<Record<string, string>>;
  sampler: `${'' | 'parentbased_'}${'always_on' | 'always_off' | 'traceidratio'}`;
  /** The part of the traces that a sampler by ratio takes, from 0 to 1. */
  samplerRatio: number;
  /** A batch leaves this long after its first span. */
  scheduleDelay: number;
  exportTimeout: number;
  /** Spans beyond it are dropped. */
  maxQueueSize: number;
  maxExportBatchSize: number;
  /** Attributes that a span may have, and characters of each; our spans have no events and no links. */
  spanLimits: SpanLimits;
}

/** What spans are made with. */
export interface TracingOptions extends TracingSettings {
  log: { warn(fields: object, message: string): void };
  /** Of this server. */
  version: string;
  /** Milliseconds. */
  now?: () => number;
}

/** Makes spans, and sends them. */
export interface Tracing {
  tracer: Tracer;
  /** Sends what is held; gives up after two seconds, when nobody takes it. Never rejects. */
  close: () => Promise<void>;
}

const closeMs = 2000;
/** A collector that is away makes one line of the log in this time. */
const warnEveryMs = 60_000;

/**
 * Makes the process's tracer. Spans wait in a bounded queue: calls never wait for the collector, and what
 * it does not take is dropped, with a warning now and then.
 */
export function createTracing(options: TracingOptions): Tracing {
  const { version, resource, scheduleDelay, exportTimeout } = options;
  const warn = createWarning(options);
  // The SDK has one place for the whole process to say what goes wrong.
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

/** Says what goes wrong once in a while, and how often it did. */
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

/** Where several addresses fail, the error has no message of its own. */
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
