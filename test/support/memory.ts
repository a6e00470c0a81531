import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The bytes in use after a garbage collection. */
export async function usedMemory(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  assert.ok(typeof gc === 'function');
  for (let time = 0; time < 2; time++) {
    // Also discards compiled code that has not run for a while.
    gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    // Buffers are freed after their owners.
    await setImmediate();
  }
  const { external, heapUsed } = process.memoryUsage();
  // Long external strings are outside of the heap, too.
  return heapUsed + external;
}

/** The peak of a process's anonymous memory, in bytes. */
export function peakMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kB = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
  return (kB('VmHWM') - kB('RssFile')) * 1024;
}
