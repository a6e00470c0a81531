import type { Logger } from 'pino';
import type { FaultCounts } from '../faults/counts.ts';
import type { CallCounts } from '../observability/call_counts.ts';
import type { ConnectionErrors } from '../observability/connection_errors.ts';
import type { HealthState } from '../services/health_state.ts';
import type { Admin } from '../transport/admin.ts';
import type { Engine } from '../transport/engine_types.ts';
import type { Address } from '../address.ts';
import { type Bound, listenOn } from '../transport/listen.ts';
import type { Tls } from '../transport/tls.ts';
import type { ProcessInfo } from './process_info.ts';

interface AdminParts {
  log: Logger;
  droppedLogLines: () => number;
  counts: CallCounts;
  faults: FaultCounts;
  connectionErrors: ConnectionErrors;
  state: HealthState;
  /** What is open on all servers. */
  open: () => Engine['counts'];
  processInfo: ProcessInfo;
  certificates: Pick<Tls, 'notAfter' | 'clientCaNotAfter'> | undefined;
}

/**
 * Opens the admin port, if it is enabled. The metrics library is loaded at the first scrape. Throws a ListenError.
 */
export async function openAdmin(
  addresses: readonly Address[] | undefined,
  {
    log,
    droppedLogLines,
    counts,
    faults,
    connectionErrors,
    state,
    open,
    processInfo,
    certificates,
  }: AdminParts,
): Promise<(Admin & { bound: readonly Bound[] }) | undefined> {
  if (!addresses) return undefined;
  const { createAdmin } = await import('../transport/admin.ts');
  const admin = createAdmin({
    log,
    onIncident: connectionErrors.record,
    isReady: () => state.isServing('readiness'),
    async loadMetrics() {
      const { createMetrics } = await import('../observability/metrics.ts');
      return createMetrics({
        calls: counts,
        faults,
        connectionErrors: connectionErrors.counts,
        open,
        droppedLogLines,
        health: () => state.statuses.keys().map((name) => [name, state.isServing(name)]),
        build: { version: processInfo.version, commit: processInfo.commit },
        process: processInfo.figures,
        certificates,
      });
    },
  });
  return { ...admin, bound: await listenOn(admin, addresses) };
}
