import { optional } from '../service.ts';

/** The services that interop clients call, which docs/copy.md deletes. */
export const interop = optional({
  isEnabled: (on: { interop: boolean }) => on.interop,
  load: async () => (await import('./services.ts')).createInterop(),
});

/** Sets the health of the server, where faults are enabled. */
export const interopHealth = optional({
  isEnabled: (on: { faults: unknown }) => on.faults !== undefined,
  load: async () => [(await import('./update_health.ts')).updateHealthService],
});
