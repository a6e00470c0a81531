import { optional } from '../service.ts';

/** The services that interop clients call, which docs/copy.md deletes. */
export const interop = optional({
  isEnabled: (on: { interop: boolean }) => on.interop,
  load: async () => (await import('./services.ts')).createInterop(),
});
