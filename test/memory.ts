import assert from 'node:assert/strict';
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
