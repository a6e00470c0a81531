import { existsSync, readdirSync } from 'node:fs';
import { mock } from 'node:test';
import type { Order, Stats } from './victim.ts';

/** What a server has of its own. */
type Held = Omit<Stats, 'descriptors' | 'memory'>;

const descriptors = '/proc/self/fd';
let now = 0;

/** Has time stand still in this process, until it is told to let some pass. */
export function stopClock(): void {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  // A mock of node:test would keep every call.
  performance.now = () => now;
}

/** Says where it listens, and from then on does what it is told. */
export function obey(ports: { plain: number; tls: number }, held: () => Held): void {
  process.on('message', ({ pass, collect = false }: Order) => {
    if (pass !== undefined) {
      // One tick for whatever has been heard until now, and one for the time that it is silent.
      mock.timers.tick(1000);
      now += pass;
      mock.timers.tick(1000);
    }
    if (collect) {
      // What the first collection finalizes, the second one frees.
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
