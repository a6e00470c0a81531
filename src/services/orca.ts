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

/** The trailer of a call's own report. */
export const loadReportTrailer = 'endpoint-load-metrics-bin';

/** The source and interval of reports. */
export interface OrcaOptions {
  report: () => Partial<OrcaLoadReport>;
  /** The minimum interval in milliseconds; shorter ones are raised to it. */
  minInterval: number;
}

/** The dependencies of load reports. */
export interface LoadReportDeps {
  /** Undefined on a server that does not measure its load. */
  report: OrcaOptions['report'] | undefined;
  /** Milliseconds; overrides the minimum interval of the service. */
  minReportInterval?: number;
}

/** The minimum interval of measured reports in milliseconds, as in other gRPC servers. */
export const minInterval = 30_000;

/** The service on servers that report their measured load. */
export const loadReportService = service({
  definition: OpenRcaServiceDefinition,
  implementation: ({ report, minReportInterval = minInterval }: LoadReportDeps) =>
    createOrca({ report: report ?? (() => ({})), minInterval: minReportInterval }),
  policy: { longLived: 'all' },
});

/** The maximum number of names, as each report is filtered by them. */
const maxNames = 100;
/** The interval of a client that requests none, in milliseconds. */
const defaultInterval = 30_000;
/** The maximum delay of a Node timer, in milliseconds. */
const maxInterval = 2 ** 31 - 1;

/**
 * xds.service.orca.v3.OpenRcaService: out-of-band load reports (gRFC A51,
 * https://github.com/grpc/proposal/blob/master/A51-custom-backend-metrics.md).
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

/** The interval that a client gets, in milliseconds. */
export function intervalOf(asked: Duration | undefined, minInterval: number): number {
  const ms = asked ? asked.seconds * 1000 + asked.nanos / 1e6 : 0;
  return Math.min(Math.max(ms > 0 ? ms : defaultInterval, minInterval), maxInterval);
}

/** Keeps only the requested costs, if any are requested. */
function only(names: readonly string[], report: Partial<OrcaLoadReport>): Partial<OrcaLoadReport> {
  if (names.length === 0 || !report.requestCost) return report;
  const costs = Object.entries(report.requestCost).filter(([name]) => names.includes(name));
  return { ...report, requestCost: Object.fromEntries(costs) };
}
