import { HealthDefinition } from './gen/grpc/health/v1/health.ts';
import { ServerReflectionDefinition as ReflectionDefinition } from './gen/grpc/reflection/v1/reflection.ts';
import { ServerReflectionDefinition as ReflectionAlphaDefinition } from './gen/grpc/reflection/v1alpha/reflection.ts';
import { guides } from './services/guides/guides.ts';
import { createHealth } from './services/health.ts';
import { interop, interopHealth } from './services/interop/interop.ts';
import { createReflection } from './services/reflection.ts';
import { optional, type OptionalService, type Service, service } from './services/service.ts';

/**
 * All services, in the order in which health and reflection list them. The server, its metrics, traces, health,
 * reflection and exemptions from limits are made from this list.
 */
const all = [
  ...guides,

  // On every server.
  service({
    // Watch is not essential: it is a long-lived call, refused like any other when memory is short.
    definition: HealthDefinition,
    implementation: createHealth,
    policy: {
      longLived: ['watch'],
      unlimited: 'all',
      essential: ['check', 'list'],
      quiet: 'all',
    },
  }),
  service({
    definition: ReflectionDefinition,
    implementation: createReflection,
    policy: { longLived: 'all', unlimited: 'all', quiet: 'all' },
  }),
  service({
    definition: ReflectionAlphaDefinition,
    implementation: createReflection,
    policy: { longLived: 'all', unlimited: 'all', quiet: 'all' },
  }),

  // Enabled by settings.
  interop,
  interopHealth,
  optional({
    isEnabled: (on: { loadReports: boolean }) => on.loadReports,
    load: async () => [(await import('./services/orca.ts')).loadReportService],
  }),
];

/** The settings that enable services. */
export type ServiceSettings = Intersection<SettingsOf<(typeof all)[number]>>;

/** The dependencies of all services. */
export type ServiceDeps = Intersection<DepsOf<(typeof all)[number]>>;

/** The services that are enabled by the given settings. */
export async function loadServices(
  settings: ServiceSettings,
): Promise<readonly Service<ServiceDeps>[]> {
  const loaded = all.map(async (each) => {
    if (!('load' in each)) return [each];
    return each.isEnabled(settings) ? each.load() : [];
  });
  const services = (await Promise.all<readonly Service<ServiceDeps>[]>(loaded)).flat();
  // Two settings may enable a service: the first in the list is served.
  const byName = Map.groupBy(services, ({ definition }) => definition.fullName);
  return [...byName.values()].flatMap((same) => same.slice(0, 1));
}

type SettingsOf<Entry> =
  Entry extends OptionalService<infer Settings, never> ? (taken: Settings) => void : never;

type DepsOf<Entry> =
  Entry extends Service<infer Deps>
    ? (taken: Deps) => void
    : Entry extends OptionalService<never, infer Deps>
      ? (taken: Deps) => void
      : never;

/** The intersection of the parameter types of a union of functions. */
type Intersection<Taking> = [Taking] extends [(taken: infer Taken) => void] ? Taken : never;
