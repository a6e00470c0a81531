import { HealthCheckResponse_ServingStatus as ServingStatus } from '../../gen/grpc/health/v1/health.ts';
import type { HealthState } from '../health_state.ts';
import { service } from '../service.ts';
import { ServedUpdateHealthDefinition } from './definition.ts';

interface UpdateHealthDeps {
  healthState: HealthState;
}

/**
 * grpc.testing.XdsUpdateHealthService, as gRPC's xDS test servers have it: takes this server out of readiness, and
 * back. Liveness stays SERVING.
 */
export const updateHealthService = service({
  definition: ServedUpdateHealthDefinition,
  implementation: ({ healthState }: UpdateHealthDeps) => ({
    async setServing() {
      setAll(healthState, ServingStatus.SERVING);
      return {};
    },

    async setNotServing() {
      setAll(healthState, ServingStatus.NOT_SERVING);
      return {};
    },
  }),
  // It takes the server back, whatever rules of faults and limits apply to other calls.
  policy: { unlimited: 'all' },
});

function setAll(state: HealthState, status: ServingStatus): void {
  for (const name of state.statuses.keys()) if (name !== 'liveness') state.set(name, status);
}
