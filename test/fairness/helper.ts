import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { join } from 'node:path';

/** A process that executes orders one at a time. Use with `using`. */
export interface Helper<Order, Answer> extends Disposable {
  /** Rejects if there is no answer within so many milliseconds. */
  ask(order: Order, maxMs: number): Promise<Answer>;
}

/** The maximum number of open files, for the largest number of connections. */
const descriptors = 20_000;

/** Raises the priority of this process and its children, if it may. */
export function goFirst(): void {
  try {
    setPriority(-15);
  } catch {
    // Only root may.
  }
}

/** Starts a program of this folder; `nice` lowers its priority, as if it ran on another machine. */
export function startHelper<Order extends string | object, Answer>(
  program: string,
  nice: number,
): Helper<Order, Answer> {
  const command = `ulimit -n ${descriptors} 2>/dev/null; exec nice -n ${nice} "$0" "$@"`;
  const args = ['-c', command, process.execPath, join(import.meta.dirname, program)];
  const child = spawn('sh', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`Cannot ask ${program}: it has ended with ${code}`);
  });
  // The process is killed if nothing awaits it.
  ended.catch(() => {});
  return {
    async ask(order, maxMs) {
      const answered = Promise.withResolvers<Answer>();
      child.once('message', (answer: Answer) => answered.resolve(answer));
      const late = setTimeout(() => {
        answered.reject(new Error(`Cannot wait longer for ${program}: ${maxMs} ms`));
      }, maxMs);
      if (child.connected) child.send(order);
      try {
        return await Promise.race([answered.promise, ended]);
      } finally {
        clearTimeout(late);
      }
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}
