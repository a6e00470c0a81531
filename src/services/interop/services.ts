import { OpenRcaServiceDefinition } from '../../gen/xds/service/orca/v3/orca.ts';
import { createTestReports } from './load_reports.ts';
import { createOrca, type LoadReportDeps } from '../orca.ts';
import { type Service, service } from '../service.ts';
import { ServedTestDefinition } from './definition.ts';
import { createTestService, type TestServiceOptions } from './test_service.ts';

/**
 * The minimum report interval in milliseconds: grpc-go's orca_oob test requests one second. With a shorter one, a
 * thousand streams would keep a core busy.
 */
export const interopInterval = 1000;

/** The services that interop clients call: the test service, and the load reports that it controls. */
export function createInterop(): readonly Service<
  Omit<TestServiceOptions, 'reports'> & LoadReportDeps
>[] {
  const reports = createTestReports();
  return [
    service({
      definition: ServedTestDefinition,
      implementation: (deps: Omit<TestServiceOptions, 'reports'>) =>
        createTestService({ ...deps, reports }),
    }),
    service({
      definition: OpenRcaServiceDefinition,
      implementation: ({ report, minReportInterval = interopInterval }: LoadReportDeps) =>
        createOrca({
          report: () => reports.current() ?? report?.() ?? {},
          minInterval: minReportInterval,
        }),
      policy: { longLived: 'all' },
    }),
  ];
}
