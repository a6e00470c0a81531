import { OpenRcaServiceDefinition } from '../gen/xds/service/orca/v3/orca.ts';
import { createTestReports } from '../services/load_reports.ts';
import { createOrca } from '../services/orca.ts';
import { ServedTestDefinition } from '../services/test_definition.ts';
import { createTestService, type TestServiceOptions } from '../services/test_service.ts';
import type { Extra } from '../transport/catalogue.ts';

/** Tests do not wait half a minute, as others do for their own good; in milliseconds. */
const minInterval = 10;

/** What interop clients call: the test service, and the load reports that it has told to others. */
export function createInterop(options: Omit<TestServiceOptions, 'reports'>): readonly Extra[] {
  const reports = createTestReports();
  const testService = createTestService({ ...options, reports });
  const orca = createOrca({ report: () => reports.current() ?? {}, minInterval });
  return [
    {
      definition: ServedTestDefinition,
      addTo: (server) => server.add(ServedTestDefinition, testService),
    },
    {
      definition: OpenRcaServiceDefinition,
      stays: true,
      addTo: (server) => server.add(OpenRcaServiceDefinition, orca),
    },
  ];
}
