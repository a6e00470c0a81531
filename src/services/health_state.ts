import { execute } from 'abort-controller-x';
import { HealthCheckResponse_ServingStatus as ServingStatus } from '../gen/grpc/health/v1/health.ts';

/** The serving status of each service, for Check, Watch and List. */
export interface HealthState {
  /** The status of every known name. */
  readonly statuses: ReadonlyMap<string, ServingStatus>;
  isServing(name: string): boolean;
  /** Adds a name, or changes its status. Has no effect during shutdown. */
  set(name: string, status: ServingStatus): void;
  /** Sets all names to SERVING. */
  serving(): void;
  /** Sets all names but `liveness` to NOT_SERVING. */
  shuttingDown(): void;
  /** Resolves at the next change of any name; rejects with AbortError. */
  changed(signal: AbortSignal): Promise<void>;
}

/** Creates the state of "", "liveness", "readiness" and the services; only "liveness" is SERVING at first. */
export function createHealthState(services: readonly string[]): HealthState {
  const statuses = new Map<string, ServingStatus>();
  const waiting = new Set<() => void>();
  let isShuttingDown = false;
  setAll(ServingStatus.NOT_SERVING);

  return {
    statuses,
    isServing: (name) => statuses.get(name) === ServingStatus.SERVING,
    set(name, status) {
      if (!isShuttingDown) change(name, status);
    },
    serving: () => setAll(ServingStatus.SERVING),
    shuttingDown() {
      isShuttingDown = true;
      setAll(ServingStatus.NOT_SERVING);
    },
    changed: (signal) =>
      execute(signal, (resolve) => {
        waiting.add(resolve);
        return () => void waiting.delete(resolve);
      }),
  };

  function change(name: string, status: ServingStatus): void {
    if (statuses.get(name) === status) return;
    statuses.set(name, status);
    for (const resolve of waiting) resolve();
    waiting.clear();
  }

  function setAll(status: ServingStatus): void {
    change('liveness', ServingStatus.SERVING);
    for (const name of ['', 'readiness', ...services]) change(name, status);
  }
}
