import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { CountedMethod } from '../observability/call_counts.ts';

/** What makes a span of each call, on a server that is told to; what it takes is loaded only then. */
export async function openTracing(
  { tracing }: Config,
  { log, version, methods }: { log: Logger; version: string; methods: readonly CountedMethod[] },
) {
  if (!tracing) return undefined;
  try {
    const { createTracing } = await import('../observability/trace.ts');
    const { trace } = await import('../middleware/trace.ts');
    const { tracer, close } = createTracing({ ...tracing, log, version });
    const paths = methods.map(({ path }) => path);
    return { middleware: trace({ tracer, methods: paths }), close };
  } catch (err) {
    // Who wants spans wants the service first.
    log.error({ err }, 'tracing is off');
    return undefined;
  }
}
