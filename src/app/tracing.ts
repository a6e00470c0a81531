import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { servedMethods } from '../transport/server.ts';

/** What makes a span of each call, on a server that is told to; what it takes is loaded only then. */
export async function openTracing(
  { tracing }: Config,
  { log, version }: { log: Logger; version: string },
) {
  if (!tracing) return undefined;
  const { createTracing } = await import('../observability/trace.ts');
  const { trace } = await import('../middleware/trace.ts');
  const { tracer, close } = createTracing({ ...tracing, log, version });
  const methods = servedMethods.map(({ path }) => path);
  return { middleware: trace({ tracer, methods }), close };
}
