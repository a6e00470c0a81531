import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { get } from 'node:http';
import { text } from 'node:stream/consumers';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { eventually } from '../support/harness.ts';
import { Flooder } from './flooder.ts';
import { noneYet } from './orders.ts';
import type { Shape } from './payloads.ts';
import { startPod } from './pod.ts';

/** Requests that clients leave open without progress. */
export interface Holding {
  shapes: readonly Shape[];
  calls: number;
  /** True if requests are ended. */
  ends: boolean;
  /** `none`: response windows stay closed; `nothing`: they are open, but the socket is not read. */
  reads: 'none' | 'nothing';
}

/** The memory of a server, in bytes. */
export interface Held {
  /** Live objects of the heap, and memory outside of it. */
  memory: number;
  /** Charges that --max-buffered-bytes limits, without those of calls themselves. */
  charged: number;
  byCategory: Readonly<Record<string, number>>;
  streams: number;
}

/** A pod that reports its memory. */
export interface Measured extends AsyncDisposable {
  /** The memory without clients. */
  idle(): Promise<Held>;
  /** The memory with these clients, which then disconnect. */
  holds(holding: Holding): Promise<Held>;
}

/** These are limited by number. */
const bounded = new Set(['handshakes', 'connections', 'calls']);
const heldBytes = /^greeter_held_bytes\{category="(\w+)"\} (\d+)$/gm;
const openStreams = /^greeter_open_streams (\d+)$/m;
const streamsOfConnection = 500;
/** The maximum number of rounds until memory is stable. */
const maxRounds = 1000;

/** Starts a pod with the settings of the base. */
export async function startMeasured(env: Record<string, string> = {}): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-held-'));
  const file = join(folder, 'memory');
  writeFileSync(file, '');
  const pod = await startPod({
    env: { ...env, LIVE_MEMORY: file },
    nodeFlags: ['--import', join(import.meta.dirname, '../support/live_memory.ts')],
  });
  let asked = 0;
  return {
    idle,
    async holds({ shapes, calls, ends, reads }) {
      const counts = noneYet();
      const connections = Math.ceil(calls / streamsOfConnection);
      const flooders = Array.from({ length: connections }, () => {
        const socket = connect(pod.ports.main, '127.0.0.1');
        return new Flooder(socket, {
          shapes,
          counts,
          ends,
          reads,
          streams: Math.ceil(calls / connections),
          uploads: Number.POSITIVE_INFINITY,
          maxCalls: calls,
          onClose: () => counts.closed++,
        });
      });
      try {
        await eventually('all calls to be made', () => counts.calls === calls || counts.closed > 0);
        return await settled();
      } finally {
        for (const flooder of flooders) flooder.leave();
        await calm();
      }
    },
    async [Symbol.asyncDispose]() {
      await pod[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };

  async function idle(): Promise<Held> {
    await calm();
    return settled();
  }

  async function calm(): Promise<void> {
    await eventually('the end of all calls', async () => {
      const { streams, byCategory } = await counted();
      return streams === 0 && byCategory['connections'] === 0;
    });
  }

  /** Resolves with the memory once it is stable. */
  async function settled(): Promise<Held> {
    let before = await counted();
    for (let round = 0; round < maxRounds; round++) {
      const after = await counted();
      const isLevel = isDeepStrictEqual(after, before);
      before = after;
      if (!isLevel) continue;
      const memory = await collected();
      if (isDeepStrictEqual(await counted(), before)) return { ...before, memory };
    }
    return assert.fail(`never came to rest: ${JSON.stringify(before)}`);
  }

  async function counted(): Promise<Omit<Held, 'memory'>> {
    const address = { host: '127.0.0.1', port: pod.ports.admin, path: '/metrics', agent: false };
    const [response] = await once(get(address), 'response');
    const all = await text(response);
    const byCategory: Record<string, number> = {};
    let charged = 0;
    for (const [, category = '', value] of all.matchAll(heldBytes)) {
      byCategory[category] = Number(value);
      if (!bounded.has(category)) charged += Number(value);
    }
    return { byCategory, charged, streams: Number(openStreams.exec(all)?.[1]) };
  }

  async function collected(): Promise<number> {
    asked++;
    process.kill(pod.pid, 'SIGUSR2');
    let lines: string[] = [];
    await eventually('garbage to be collected', () => {
      lines = readFileSync(file, 'utf8').trim().split('\n');
      return lines.length >= asked && lines[0] !== '';
    });
    return Number(lines.at(-1));
  }
}
