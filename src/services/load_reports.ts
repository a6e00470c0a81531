import { execute } from 'abort-controller-x';
import { exhausted } from '../errors.ts';
import type { TestOrcaReport } from '../gen/grpc/testing/messages.ts';
import { OrcaLoadReport } from '../gen/xds/data/orca/v3/orca_load_report.ts';

/** The trailer that holds a call's own report. */
export const loadReportTrailer = 'endpoint-load-metrics-bin';

/** It travels in headers, which most clients take 8 KiB of. */
const maxReportSize = 4096;

/** The report that a test asks for, on the wire, and no figure more. Throws RESOURCE_EXHAUSTED above 4 KiB. */
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

/** What is reported out of band where tests say what. */
export interface TestReports {
  /** The newest; undefined as long as no test has asked for one. */
  current(): OrcaLoadReport | undefined;
  /** Takes the place of the one before, with all that was in it. */
  replace(report: TestOrcaReport): void;
  /** Waits until nobody else says what is reported; gives what ends that. Rejects with AbortError. */
  claim(signal: AbortSignal): Promise<() => void>;
}

/** Knows no report yet. */
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
