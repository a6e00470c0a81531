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

/** A cgroup with a memory limit and without swap, like that of a pod. */
export interface MemoryGroup {
  /** A command that runs the following command in the group. */
  launcher: readonly string[];
  /** The maximum memory of the group since the last call, in bytes. */
  takePeak: () => number;
  /** The same for socket buffers, if the kernel counts them separately (version 1). */
  takeSocketPeak: () => number | undefined;
  /** The number of processes that the kernel has killed for lack of memory. */
  killed: () => number;
  /** Removes the group, once its processes have ended. */
  remove(): Promise<void>;
}

const root = '/sys/fs/cgroup';
/** https://docs.kernel.org/admin-guide/cgroup-v1/memory.html */
const version1 = {
  parent: join(root, 'memory'),
  limit: 'memory.limit_in_bytes',
  // Memory and swap together; must be set last.
  swap: 'memory.memsw.limit_in_bytes',
  swapLimit: (limit: number) => limit,
  peak: 'memory.max_usage_in_bytes',
  events: 'memory.oom_control',
  socketLimit: 'memory.kmem.tcp.limit_in_bytes',
  socketPeak: 'memory.kmem.tcp.max_usage_in_bytes',
};
/** https://docs.kernel.org/admin-guide/cgroup-v2.html; its peak includes socket buffers. */
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

/** Creates a group with a limit in bytes; undefined if this process may not, or the system cannot. */
export function createMemoryGroup(bytes: number): MemoryGroup | undefined {
  const version = existsSync(join(root, 'cgroup.controllers')) ? version2 : version1;
  const folder = join(version.parent, `greeter-${process.pid}-${made++}`);
  const file = (name: string) => join(folder, name);
  try {
    if (version === version2) writeFileSync(join(root, 'cgroup.subtree_control'), '+memory');
    // Without a controller it is an ordinary folder, or cannot be created.
    if (!existsSync(join(version.parent, 'cgroup.procs'))) return undefined;
    mkdirSync(folder);
  } catch {
    return undefined;
  }
  try {
    writeFileSync(file(version.limit), `${bytes}`);
    // The kernel may be built without swap accounting.
    if (existsSync(file(version.swap))) {
      writeFileSync(file(version.swap), `${version.swapLimit(bytes)}`);
    }
    // Socket buffers are counted once there is a limit, however large.
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

/** The maximum since the last call. A write resets it, in version 2 only for the same file descriptor. */
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
