import { setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../context.ts';
import type { Duration } from '../gen/google/protobuf/duration.ts';
import type { OrcaLoadReport } from '../gen/xds/data/orca/v3/orca_load_report.ts';
import type { OpenRcaServiceImplementation } from '../gen/xds/service/orca/v3/orca.ts';

/** What is reported, and how often. */
export interface OrcaOptions {
  report: () => Partial<OrcaLoadReport>;
  /** The shortest interval, in milliseconds: a client that wants another sooner waits so long. */
  minInterval: number;
}

/** What a client gets that names no interval, in milliseconds. */
const defaultInterval = 30_000;
/** The longest that a Node timer takes, in milliseconds. */
const maxInterval = 2 ** 31 - 1;

/**
 * xds.service.orca.v3.OpenRcaService: how busy the server is, out of band
 * (https://github.com/grpc/proposal/blob/master/A51-custom-backend-metrics.md).
 */
export function createOrca({
  report,
  minInterval,
}: OrcaOptions): OpenRcaServiceImplementation<Call> {
  return {
    async *streamCoreMetrics({ reportInterval, requestCostNames }, { abortOnTerminate, signal }) {
      abortOnTerminate();
      const asked = reportInterval ? toMs(reportInterval) : 0;
      const interval = Math.max(asked > 0 ? asked : defaultInterval, minInterval);
      while (true) {
        yield only(requestCostNames, report());
        await sleep(Math.min(interval, maxInterval), undefined, { signal });
      }
    },
  };
}

function toMs({ seconds, nanos }: Duration): number {
  return seconds * 1000 + nanos / 1e6;
}

/** Without the costs that are not asked for, where any are. */
function only(names: readonly string[], report: Partial<OrcaLoadReport>): Partial<OrcaLoadReport> {
  if (names.length === 0 || !report.requestCost) return report;
  const costs = Object.entries(report.requestCost).filter(([name]) => names.includes(name));
  return { ...report, requestCost: Object.fromEntries(costs) };
}
