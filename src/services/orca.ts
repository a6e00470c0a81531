import { setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../context.ts';
import { invalidArgument } from '../errors.ts';
import type { Duration } from '../gen/google/protobuf/duration.ts';
import type { OrcaLoadReport } from '../gen/xds/data/orca/v3/orca_load_report.ts';
import {
  OpenRcaServiceDefinition,
  type OpenRcaServiceImplementation,
} from '../gen/xds/service/orca/v3/orca.ts';
import { service } from './service.ts';

/** What is reported, and how often. */
export interface OrcaOptions {
  report: () => Partial<OrcaLoadReport>;
  /** The shortest interval, in milliseconds: a client that wants another sooner waits so long. */
  minInterval: number;
}

/** What a server knows of load reports. */
export interface LoadReportDeps {
  /** Undefined on a server that does not measure its load. */
  report: OrcaOptions['report'] | undefined;
  /** In milliseconds, in place of the interval that the service has by itself. */
  minReportInterval?: number;
}

/** The shortest interval of measured figures, in milliseconds: that of other gRPC servers. */
export const minInterval = 30_000;

/** The service on servers that report the load they measure. */
export const loadReportService = service({
  definition: OpenRcaServiceDefinition,
  implementation: ({ report, minReportInterval = minInterval }: LoadReportDeps) =>
    createOrca({ report: report ?? (() => ({})), minInterval: minReportInterval }),
  policy: { longLived: 'all' },
});

/** They are looked through for each report. */
const maxNames = 100;
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
      if (requestCostNames.length > maxNames) {
        throw invalidArgument('request_cost_names', `at most ${maxNames} names`);
      }
      abortOnTerminate();
      const interval = intervalOf(reportInterval, minInterval);
      while (true) {
        yield only(requestCostNames, report());
        await sleep(interval, undefined, { signal });
      }
    },
  };
}

/** What a client gets of the interval that it asks for, in milliseconds. */
export function intervalOf(asked: Duration | undefined, minInterval: number): number {
  const ms = asked ? asked.seconds * 1000 + asked.nanos / 1e6 : 0;
  return Math.min(Math.max(ms > 0 ? ms : defaultInterval, minInterval), maxInterval);
}

/** Without the costs that are not asked for, where any are. */
function only(names: readonly string[], report: Partial<OrcaLoadReport>): Partial<OrcaLoadReport> {
  if (names.length === 0 || !report.requestCost) return report;
  const costs = Object.entries(report.requestCost).filter(([name]) => names.includes(name));
  return { ...report, requestCost: Object.fromEntries(costs) };
}
