import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { attack, peakCell } from './attack.ts';
import { type Load, startLoad } from './load.ts';
import type { Flood } from './orders.ts';
import { type Attacked, payloads } from './payloads.ts';
import { type Pod, startPod } from './pod.ts';
import { createTable, type Table } from './table.ts';

/**
 * `npm test` attacks one method from forty connections, with the payloads that take most memory; POD_MATRIX=all
 * attacks every method with each payload, also from one connection.
 */
const isWhole = process.env['POD_MATRIX'] === 'all';
/** It responds with the request, whichever field that was in. */
const theOne = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
/** Methods with this in their name are attacked alone. */
const isChosen = process.env['POD_METHOD'] !== undefined;
const chosen = process.env['POD_METHOD'] ?? (isWhole ? '' : theOne);
/** Prints for each case what was sent, and the result. */
const isVerbose = process.env['POD_VERBOSE'] === '1';
/** The number of open calls: with forty connections, the default limit of a server. */
const crowds = [
  { connections: 1, streams: 1000 },
  { connections: 40, streams: 250 },
].slice(isWhole ? 0 : 1);
/** A case ends after so many calls, or so many milliseconds, plus some for each method. */
const most = { calls: 4000, time: 200, more: 60 };
/** Open calls on each of forty connections with 15 KiB of metadata each: the byte limit. */
const maxWithMetadata = 60;

/** A method to attack. */
export interface Method extends Attacked {
  name: string;
  port: 'main' | 'health';
  /** Methods of one kind are attacked together. */
  kind: string;
}

/** The payload, and how much of the responses is read, by column. */
const columns = payloads.flatMap((payload): readonly Column[] => {
  if (payload !== 'plain') return [{ name: payload, payload, reads: 'half', isPatient: true }];
  return [
    { name: 'plain', payload, reads: 'all', isPatient: true },
    { name: 'unread', payload, reads: 'none', isPatient: false },
  ];
});

interface Column extends Pick<Flood, 'payload' | 'reads'> {
  name: string;
  /** True if some bodies are completed before others begin. */
  isPatient: boolean;
}

/** The payloads of `npm test`. */
const quick = new Set(['gzip', 'invalid UTF-8']);
const played = columns.filter(({ name }) => isWhole || isChosen || quick.has(name));

/** Sends every payload to each of the methods, on pods with these settings. */
export async function attackMethods(
  t: TestContext,
  methods: readonly Method[],
  env: Record<string, string>,
): Promise<void> {
  using load = startLoad();
  const peaks = createTable('MiB at most, 1/40 connections');
  const slowest = createTable('slowest probe, ms');
  const played = methods.filter(({ name }) => name.includes(chosen));
  for (const [kind, methods] of Map.groupBy(played, (method) => method.kind)) {
    const names = methods.map(({ name }) => name).join(', ');
    const name = methods.length === 1 ? names : `${methods.length} of ${kind}`;
    if (name !== names) t.diagnostic(`${name}: ${names}`);
    await t.test(name, (t) => attackRow(t, { name, methods }, { env, load, peaks, slowest }));
  }
  for (const line of [...peaks.lines(), ...slowest.lines()]) t.diagnostic(line);
}

interface Shared {
  env: Record<string, string>;
  load: Load;
  peaks: Table;
  slowest: Table;
}

/** Sends every payload, from each number of connections; a pod that is dead is replaced. */
async function attackRow(
  t: TestContext,
  row: { name: string; methods: readonly Method[] },
  { env, load, peaks, slowest }: Shared,
) {
  const { methods } = row;
  const time = most.time + most.more * (methods.length - 1);
  const failures: string[] = [];
  let pod: Pod | undefined;
  try {
    for (const { name, isPatient, ...column } of played) {
      const cells: string[] = [];
      const times: number[] = [];
      for (const crowd of crowds) {
        pod ??= await startPod({ env });
        const port = pod.ports[methods[0]?.port ?? 'main'];
        const uploads = isPatient ? Math.ceil(4 / crowd.connections) : Infinity;
        const { calls } = most;
        const what = { methods, uploads, ...crowd, ...column, calls, time };
        if (name === 'metadata' && crowd.connections > 1) what.streams = maxWithMetadata;
        const outcome = await attack({ pod, load }, { do: 'flood', port, ...what });
        cells.push(peakCell(pod, outcome));
        times.push(Math.round(outcome.ordeal.slowest));
        failures.push(...outcome.wrong.map((each) => `${name}, ${crowd.connections}: ${each}`));
        if (isVerbose) t.diagnostic(`${name}, ${crowd.connections}: ${outcome.summary}`);
        if (!pod.isAlive()) {
          await pod[Symbol.asyncDispose]();
          pod = undefined;
        }
      }
      peaks.set(row.name, name, cells.join('/'));
      slowest.set(row.name, name, times.join('/'));
    }
    if (pod?.isConfined === false) t.diagnostic('no cgroup: the process was measured');
  } finally {
    await pod?.[Symbol.asyncDispose]();
  }
  assert.deepEqual(failures, []);
}
