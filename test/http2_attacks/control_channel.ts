import { existsSync, readdirSync } from 'node:fs';
import { mock } from 'node:test';
import type { Order, Stats } from './victim.ts';

/** The statistics that the server itself provides. */
type Held = Omit<Stats, 'descriptors' | 'memory'>;

const descriptors = '/proc/self/fd';
let now = 0;

/** Stops the clock of this process, which then only advances when it is told to. */
export function stopClock(): void {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  // A mock of node:test would record every call.
  performance.now = () => now;
}

/** Reports its ports, and then executes orders. */
export function obey(ports: { plain: number; tls: number }, held: () => Held): void {
  process.on('message', ({ pass, collect = false }: Order) => {
    if (pass !== undefined) {
      // One tick for what has arrived so far, and one for the silence.
      mock.timers.tick(1000);
      now += pass;
      mock.timers.tick(1000);
    }
    if (collect) {
      // The second collection frees what the first one finalizes.
      globalThis.gc?.();
      globalThis.gc?.();
    }
    const { heapUsed, external } = process.memoryUsage();
    const stats: Stats = {
      ...held(),
      descriptors: existsSync(descriptors) ? readdirSync(descriptors).length : 0,
      memory: heapUsed + external,
    };
    process.send?.(stats);
  });
  process.on('disconnect', () => process.exit());
  process.send?.(ports);
}
