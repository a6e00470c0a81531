import { execute } from 'abort-controller-x';
import { exhausted } from '../../errors.ts';
import type { TestOrcaReport } from '../../gen/grpc/testing/messages.ts';
import { OrcaLoadReport } from '../../gen/xds/data/orca/v3/orca_load_report.ts';

/** It is sent in header fields, for which most clients accept 8 KiB. */
const maxReportSize = 4096;

/** Encodes the report that a test asks for. Throws RESOURCE_EXHAUSTED above 4 KiB. */
export function encodeTestReport(report: TestOrcaReport): Buffer {
  const { cpuUtilization, memoryUtilization: memUtilization, requestCost, utilization } = report;
  const bytes = OrcaLoadReport.encode(
    OrcaLoadReport.fromPartial({ cpuUtilization, memUtilization, requestCost, utilization }),
  ).finish();
  if (bytes.length > maxReportSize) {
    throw exhausted('report this load', `at most ${maxReportSize} bytes`);
  }
  return Buffer.from(bytes);
}

/** The out-of-band report that tests control. */
export interface TestReports {
  /** The latest report; undefined before the first. */
  current(): OrcaLoadReport | undefined;
  /** Replaces the report. */
  replace(report: TestOrcaReport): void;
  /** Waits for exclusive use of the report; resolves to the function that releases it. Rejects with AbortError. */
  claim(signal: AbortSignal): Promise<() => void>;
}

/** Creates the state without a report. */
export function createTestReports(): TestReports {
  const waiting = new Set<() => void>();
  let newest: OrcaLoadReport | undefined;
  let isClaimed = false;

  return {
    current: () => newest,
    replace(report) {
      newest = OrcaLoadReport.decode(encodeTestReport(report));
    },
    async claim(signal) {
      if (!isClaimed) isClaimed = true;
      else await execute<void>(signal, waitInLine);
      return release;
    },
  };

  function waitInLine(resolve: () => void): () => void {
    waiting.add(resolve);
    return () => void waiting.delete(resolve);
  }

  function release(): void {
    const [next] = waiting;
    if (!next) isClaimed = false;
    else {
      waiting.delete(next);
      next();
    }
  }
}
