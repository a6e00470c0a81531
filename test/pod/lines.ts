import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { attack, type Outcome, peakCell } from './attack.ts';
import { startLoad } from './load.ts';
import type { Crowd, Flood, Order, Posts } from './orders.ts';
import type { Attacked } from './payloads.ts';
import { type Pod, podMiB, startPod } from './pod.ts';
import type { Probe } from './probes.ts';
import { createTable } from './table.ts';

/** `npm test` skips what takes many seconds; POD_MATRIX=all does not. */
const isWhole = process.env['POD_MATRIX'] === 'all';
/** Lines with this in their name are played alone. */
const chosen = process.env['POD_LINE'];
/** An attack with little input. */
export interface Line {
  name: string;
  hasTls?: boolean;
  hasClientCa?: boolean;
  isLong?: boolean;
  order: FloodOrder | CrowdOrder | PostsOrder;
  probes?: (pod: Pod) => Probe[];
  /** The maximum memory in MiB, if the limit of the pod would be far too much. */
  most?: number;
  /** A further check. */
  check?: (outcome: Outcome) => void;
}

type FloodOrder = Omit<Flood, 'port' | 'calls'>;
type PostsOrder = Omit<Posts, 'port'>;
type CrowdOrder = Omit<Crowd, 'port'> & { port: keyof Pod['ports'] };

/** Attacks a pod with these settings in each of the lines. */
export async function playLines(
  t: TestContext,
  lines: readonly Line[],
  env: Record<string, string>,
): Promise<void> {
  using load = startLoad();
  const table = createTable('');
  const played = lines.filter(({ name, isLong }) =>
    chosen === undefined ? isWhole || !isLong : name.includes(chosen),
  );
  for (const { name, order, probes, most = podMiB, check, ...more } of played) {
    await t.test(name, async (t) => {
      await using pod = await startPod({ ...more, env });
      const outcome = await attack({ pod, load, probes: probes?.(pod) ?? [] }, whole(order, pod));
      const { sockets, slowest, load: processors } = outcome.ordeal;
      table.set(name, 'MiB at most', peakCell(pod, outcome));
      if (sockets !== undefined) table.set(name, 'of sockets', `${Math.round(sockets)}`);
      table.set(name, 'slowest probe, ms', `${Math.round(slowest)}`);
      table.set(name, 'processors', processors.toFixed(2));
      t.diagnostic(outcome.summary);
      if (!pod.isConfined) t.diagnostic('no cgroup: the process was measured');
      assert.deepEqual(outcome.wrong, []);
      assert.ok(outcome.ordeal.peak <= most, `${outcome.ordeal.peak} MiB, not ${most}`);
      check?.(outcome);
    });
  }
  for (const line of table.lines()) t.diagnostic(line);
}

/** Completes an order with the addresses and the identity of a pod. */
function whole(order: Line['order'], { ports, identity }: Pod): Order {
  if (order.do === 'crowd') return { ...order, port: ports[order.port], identity };
  const port = ports.main;
  return order.do === 'posts' ? { ...order, port } : { ...order, port, calls: Infinity };
}

/** Calls for a second, by default from forty connections, with responses read. */
export function flood(
  method: Attacked,
  payload: string,
  { connections = 40, streams = 1000, reads = 'all' }: Partial<FloodOrder>,
): FloodOrder {
  return {
    do: 'flood',
    methods: [method],
    payload,
    connections,
    streams,
    reads,
    uploads: 4,
    time: 1000,
  };
}
