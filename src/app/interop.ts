import { createTestReports } from '../services/load_reports.ts';
import type { OrcaOptions } from '../services/orca.ts';
import { ServedTestDefinition } from '../services/test_definition.ts';
import { createTestService, type TestServiceOptions } from '../services/test_service.ts';
import type { Extra } from '../transport/catalogue.ts';
import { orcaExtra } from './load_reports.ts';

interface InteropOptions extends Omit<TestServiceOptions, 'reports'> {
  /** What is reported out of band as long as no test has said what. */
  report?: OrcaOptions['report'] | undefined;
  /** The shortest interval of reports out of band, in milliseconds. */
  minInterval?: number;
}

/**
 * Interop clients do not wait half a minute: grpc-go's orca_oob asks for a second. More often, a thousand
 * streams would keep a core busy. In milliseconds.
 */
export const interopInterval = 1000;

/** What interop clients call: the test service, and the load reports that it has told to others. */
export function createInterop({
  report,
  minInterval = interopInterval,
  ...options
}: InteropOptions): readonly Extra[] {
  const reports = createTestReports();
  const testService = createTestService({ ...options, reports });
  return [
    {
      definition: ServedTestDefinition,
      addTo: (server) => server.add(ServedTestDefinition, testService),
    },
    orcaExtra({
      report: () => reports.current() ?? report?.() ?? {},
      minInterval,
    }),
  ];
}
