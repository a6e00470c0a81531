import type { Call } from '../context.ts';
import { exhausted, invalidArgument, notFound } from '../errors.ts';
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  type HealthServiceImplementation,
} from '../gen/grpc/health/v1/health.ts';
import type { HealthState } from './health_state.ts';

interface HealthDeps {
  healthState: HealthState;
}

const maxListed = 100;
/** A watch keeps its name while it is open. */
const maxNameLength = 1000;

/**
 * grpc.health.v1.Health (https://grpc.io/docs/guides/health-checking/). Watches have no limit of their own, because a
 * client takes a refused watch for a failed server.
 */
export function createHealth({
  healthState: state,
}: HealthDeps): HealthServiceImplementation<Call> {
  return {
    async check({ service }) {
      const status = state.statuses.get(service);
      if (status === undefined) throw notFound('service', service);
      return { status };
    },

    async list() {
      if (state.statuses.size > maxListed) {
        throw exhausted('list health', `at most ${maxListed} services`);
      }
      const statuses = [...state.statuses].map(([name, status]) => [name, { status }] as const);
      return { statuses: Object.fromEntries(statuses) };
    },

    async *watch({ service }, { abortOnTerminate, signal }) {
      if (service.length > maxNameLength) {
        throw invalidArgument('service', `at most ${maxNameLength} characters`);
      }
      abortOnTerminate();
      let sent: ServingStatus | undefined;
      while (true) {
        const status = state.statuses.get(service) ?? ServingStatus.SERVICE_UNKNOWN;
        if (status === sent) {
          await state.changed(signal);
        } else {
          sent = status;
          yield { status };
        }
      }
    },
  };
}
