import { createTestReports } from '../services/load_reports.ts';
import type { OrcaOptions } from '../services/orca.ts';
import { ServedTestDefinition } from '../services/test_definition.ts';
import { createTestService, type TestServiceOptions } from '../services/test_service.ts';
import type { Extra } from '../transport/catalogue.ts';
import { minInterval, orcaExtra } from './load_reports.ts';

interface InteropOptions extends Omit<TestServiceOptions, 'reports'> {
  /** What is reported out of band as long as no test has said what. */
  report?: OrcaOptions['report'] | undefined;
}

/** Tests do not wait half a minute, where there are no real figures to look up; in milliseconds. */
const testInterval = 10;

/** What interop clients call: the test service, and the load reports that it has told to others. */
export function createInterop({ report, ...options }: InteropOptions): readonly Extra[] {
  const reports = createTestReports();
  const interval = report ? minInterval : testInterval;
  const testService = createTestService({ ...options, reports });
  return [
    {
      definition: ServedTestDefinition,
      addTo: (server) => server.add(ServedTestDefinition, testService),
    },
    orcaExtra({
      report: () => reports.current() ?? report?.() ?? {},
      minInterval: interval,
    }),
  ];
}
