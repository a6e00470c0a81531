import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import type { Done, Order } from './orders.ts';

/** Hostile clients in their own process. Use with `using`. */
export interface Load extends Disposable {
  /** Resolves when the order is done; its connections stay open until `leave` or the next order. */
  run(order: Order): Promise<void>;
  /** Closes all connections; returns the result of the order. */
  leave(): Promise<Done>;
}

/** The maximum number of open files, for the largest number of connections. */
const descriptors = 20_000;

/**
 * Starts the process with a lower priority than this one, which probes, and than the pod: real clients run on other
 * machines, and take no CPU time from either.
 */
export function startLoad(): Load {
  try {
    setPriority(-10);
  } catch {
    // Only root may.
  }
  const program = join(import.meta.dirname, 'load_process.ts');
  // Root may raise the limit; others keep theirs.
  const shell = ['-c', `ulimit -n ${descriptors} 2>/dev/null; exec nice -n 10 "$0" "$@"`];
  const child = spawn('sh', [...shell, process.execPath, program], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // JSON has no Infinity.
    serialization: 'advanced',
  });
  const ended = once(child, 'exit').then(() => assert.fail('the load process has ended'));
  // The process is killed if nothing awaits it.
  ended.catch(() => {});
  return {
    async run(order) {
      await tell(order);
    },
    leave: () => tell('leave'),
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };

  async function tell(order: Order | 'leave'): Promise<Done> {
    const answered = Promise.withResolvers<Done>();
    child.once('message', (done: Done) => answered.resolve(done));
    if (child.connected) child.send(order);
    return Promise.race([answered.promise, ended]);
  }
}
