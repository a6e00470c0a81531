import type { Logger } from 'pino';
import type { CallCounts } from '../observability/call_counts.ts';
import type { ConnectionErrors } from '../observability/connection_errors.ts';
import type { ProcessFigures } from '../observability/process_metrics.ts';
import type { HealthState } from '../services/health_state.ts';
import type { Admin } from '../transport/admin.ts';
import type { Engine } from '../transport/engine_types.ts';
import { type Address, type Bound, listenOn } from '../transport/listen.ts';
import type { Tls } from '../transport/tls.ts';

/** What the app takes of the process it runs in. */
export interface Host {
  /** The log goes here: a file descriptor. */
  logTo: number;
  /** Whether people read it. */
  isTerminal: boolean;
  version: string;
  /** The machine's name. */
  hostname: string;
  /** Processors, and bytes of memory, that the process may have. */
  capacity: () => { cpus: number; memory: number };
  /** What it was built from; empty where nobody knows. */
  commit: string;
  figures: ProcessFigures;
  /** Has it done when the process ends, however that comes; it cannot wait for anything. */
  atExit: (work: () => void) => void;
  /** Gives what Node warns of to this one, in place of whoever had it before. */
  onWarning: (take: (warning: Error) => void) => void;
}

interface AdminParts {
  log: Logger;
  droppedLogLines: () => number;
  counts: CallCounts;
  connectionErrors: ConnectionErrors;
  state: HealthState;
  /** What is open on all servers. */
  open: () => Engine['counts'];
  host: Host;
  certificates: Pick<Tls, 'notAfter' | 'clientCaNotAfter'> | undefined;
}

/**
 * The admin port, where there is to be one. The metrics' library is loaded by the first who reads them.
 * Throws a ListenError.
 */
export async function openAdmin(
  addresses: readonly Address[] | undefined,
  { log, droppedLogLines, counts, connectionErrors, state, open, host, certificates }: AdminParts,
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
        connectionErrors: connectionErrors.counts,
        open,
        droppedLogLines,
        health: () => state.statuses.keys().map((name) => [name, state.isServing(name)]),
        build: { version: host.version, commit: host.commit },
        process: host.figures,
        certificates,
      });
    },
  });
  return { ...admin, bound: await listenOn(admin, addresses) };
}
