import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes in use, once all that is of no use has gone. */
export async function usedMemory(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  assert.ok(typeof gc === 'function');
  for (let time = 0; time < 2; time++) {
    // Code that has not run for a while goes too.
    gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    // Buffers are let go later than what held them.
    await setImmediate();
  }
  const { external, heapUsed } = process.memoryUsage();
  // Long strings of what came are outside of the heap, too.
  return heapUsed + external;
}

/** The most that a process has had in memory, in bytes, but for what is in files: that can be read again. */
export function peakMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kB = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
  return (kB('VmHWM') - kB('RssFile')) * 1024;
}
