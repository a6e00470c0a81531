import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { CountedMethod } from '../observability/call_counts.ts';

/** Creates the tracer of calls, if tracing is enabled; its modules are loaded only then. */
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
    // A failure of tracing must not stop the service.
    log.error({ err }, 'tracing is off');
    return undefined;
  }
}
