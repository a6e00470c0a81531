import type { ServerMiddleware } from 'nice-grpc-common';
import type { Config } from '../config.ts';
import type { CallCounts } from '../observability/call_counts.ts';
import type { Extra } from '../transport/catalogue.ts';
import type { Host } from './admin.ts';

/** What only some servers have. */
interface Extras {
  extras: readonly Extra[];
  loadReport: ServerMiddleware | undefined;
}

interface Parts {
  host: Host;
  /** Asked for when the server serves: what is counted depends on what is served. */
  calls: () => CallCounts;
  /** The same: how many bytes the server has room for. */
  freeBytes: () => number;
}

/** The services that this server has because of its settings; what they take is loaded only then. */
export async function openExtras(
  config: Config,
  { host, calls, freeBytes }: Parts,
): Promise<Extras> {
  const { figures, hostname } = host;
  const load = config.loadReports ? await openLoadReports(host, calls) : undefined;
  const loadReport = load?.middleware;
  if (!config.interop) return { extras: load ? [load.extra] : [], loadReport };

  const { createInterop } = await import('./interop.ts');
  const { maxMessageSize } = config;
  const serverId = `${hostname}-${Math.round(figures.startedAt * 1000).toString(36)}`;
  const about = { maxMessageSize, freeBytes, hostname, serverId };
  return { extras: createInterop({ ...about, report: load?.report }), loadReport };
}

async function openLoadReports({ figures, capacity }: Host, calls: () => CallCounts) {
  const { createLoadReports, minInterval, orcaExtra } = await import('./load_reports.ts');
  const { report, middleware } = createLoadReports({
    calls,
    figures,
    capacity: capacity(),
    now: performance.now.bind(performance),
  });
  return { report, middleware, extra: orcaExtra({ report, minInterval }) };
}
