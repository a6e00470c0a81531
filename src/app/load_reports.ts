import { OrcaLoadReport } from '../gen/xds/data/orca/v3/orca_load_report.ts';
import { loadReport } from '../middleware/load_report.ts';
import {
  createProcessLoad,
  type LoadSources,
  type ProcessLoad,
} from '../observability/process_load.ts';
import { loadReportTrailer } from '../services/orca.ts';

/** The load of this process, for each call and for out-of-band reports. */
export function createLoadReports(sources: LoadSources) {
  const report = createProcessLoad(sources);
  let last: { load: ProcessLoad; bytes: Buffer } | undefined;
  const encode = () => {
    const load = report();
    if (last?.load !== load) {
      const bytes = OrcaLoadReport.encode(OrcaLoadReport.fromPartial(load)).finish();
      last = { load, bytes: Buffer.from(bytes) };
    }
    return last.bytes;
  };
  return { report, middleware: loadReport({ trailer: loadReportTrailer, report: encode }) };
}
