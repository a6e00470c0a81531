import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import type { Done, Order } from './orders.ts';

/** Clients that mean no good, in a process of their own. Use with `using`. */
export interface Load extends Disposable {
  /** Resolves when the order is done; what it has opened goes on until `leave` or the next one. */
  run(order: Order): Promise<void>;
  /** Closes all its connections; gives what came of the order. */
  leave(): Promise<Done>;
}

/** Files that a process may have open: for the largest crowd. */
const descriptors = 20_000;

/**
 * Starts the process. It gives way to this one, which probes, and to the pod that this one starts: other
 * clients are on other machines, where they take no processor from either. What else runs here should not,
 * either, so far as we may say so.
 */
export function startLoad(): Load {
  try {
    setPriority(-10);
  } catch {
    // Root alone may.
  }
  const program = join(import.meta.dirname, 'load_process.ts');
  // A root may raise the limit; others have what they have.
  const shell = ['-c', `ulimit -n ${descriptors} 2>/dev/null; exec nice -n 10 "$0" "$@"`];
  const child = spawn('sh', [...shell, process.execPath, program], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // JSON knows no Infinity.
    serialization: 'advanced',
  });
  const ended = once(child, 'exit').then(() => assert.fail('the load process has ended'));
  // It is killed when nobody waits for it.
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
