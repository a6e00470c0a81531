import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmdirSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../support/harness.ts';

/** A group of processes that share a limit of memory, as the containers of a pod do; without swap. */
export interface MemoryGroup {
  /** A command that runs the one that follows it in the group. */
  launcher: readonly string[];
  /** The most that the group has had since the last time this was asked, in bytes. */
  takePeak: () => number;
  /** The same of the sockets' buffers, where the kernel counts those apart (version 1). */
  takeSocketPeak: () => number | undefined;
  /** How many of its processes the kernel has killed for want of memory. */
  killed: () => number;
  /** Removes the group, once its processes have ended. */
  remove(): Promise<void>;
}

const root = '/sys/fs/cgroup';
/** https://docs.kernel.org/admin-guide/cgroup-v1/memory.html */
const version1 = {
  parent: join(root, 'memory'),
  limit: 'memory.limit_in_bytes',
  // Memory and swap together: without swap it must be set, too, and last.
  swap: 'memory.memsw.limit_in_bytes',
  swapLimit: (limit: number) => limit,
  peak: 'memory.max_usage_in_bytes',
  events: 'memory.oom_control',
  socketLimit: 'memory.kmem.tcp.limit_in_bytes',
  socketPeak: 'memory.kmem.tcp.max_usage_in_bytes',
};
/** https://docs.kernel.org/admin-guide/cgroup-v2.html: its peak has the sockets' buffers in it. */
const version2 = {
  parent: root,
  limit: 'memory.max',
  swap: 'memory.swap.max',
  swapLimit: () => 0,
  peak: 'memory.peak',
  events: 'memory.events',
  socketLimit: undefined,
  socketPeak: undefined,
};

let made = 0;

/** Makes a group of at most so many bytes; undefined where this process may not, or nobody can. */
export function createMemoryGroup(bytes: number): MemoryGroup | undefined {
  const version = existsSync(join(root, 'cgroup.controllers')) ? version2 : version1;
  const folder = join(version.parent, `greeter-${process.pid}-${made++}`);
  const file = (name: string) => join(folder, name);
  try {
    if (version === version2) writeFileSync(join(root, 'cgroup.subtree_control'), '+memory');
    // Where there is no controller the folder is one like any other, or cannot be made.
    if (!existsSync(join(version.parent, 'cgroup.procs'))) return undefined;
    mkdirSync(folder);
  } catch {
    return undefined;
  }
  try {
    writeFileSync(file(version.limit), `${bytes}`);
    // A kernel may have been built to count no swap.
    if (existsSync(file(version.swap))) {
      writeFileSync(file(version.swap), `${version.swapLimit(bytes)}`);
    }
    // Sockets are counted from then on that there is a limit, however large.
    if (version.socketLimit) writeFileSync(file(version.socketLimit), '-1');
    const peak = openPeak(file(version.peak));
    const socketPeak = version.socketPeak && openPeak(file(version.socketPeak));
    return {
      launcher: ['sh', '-c', `echo $$ >${file('cgroup.procs')} && exec "$0" "$@"`],
      takePeak: () => peak.take(),
      takeSocketPeak: () => (socketPeak ? socketPeak.take() : undefined),
      killed: () =>
        Number(/^oom_kill (\d+)$/m.exec(readFileSync(file(version.events), 'utf8'))?.[1]),
      async remove() {
        peak.close();
        if (socketPeak) socketPeak.close();
        await eventually('an empty memory group', () => removed(folder));
      },
    };
  } catch {
    removed(folder);
    return undefined;
  }
}

/** The most since the last time. What is written resets it: in version 2 for who reads by the same descriptor alone. */
function openPeak(path: string) {
  const descriptor = openSync(path, 'r+');
  return {
    take() {
      const text = Buffer.alloc(32);
      const length = readSync(descriptor, text, 0, text.length, 0);
      writeSync(descriptor, '0');
      return Number(text.toString('latin1', 0, length));
    },
    close: () => closeSync(descriptor),
  };
}

function removed(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}
