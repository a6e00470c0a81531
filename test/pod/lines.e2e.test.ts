import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { OpenRcaServiceDefinition } from '../../src/gen/xds/service/orca/v3/orca.ts';
import { ServerReflectionDefinition } from '../../src/gen/grpc/reflection/v1/reflection.ts';
import { TestServiceDefinition } from '../../src/gen/grpc/testing/test.ts';
import { pathOf } from '../../src/transport/paths.ts';
import { attack, type Outcome, peakCell } from './attack.ts';
import { startLoad } from './load.ts';
import type { Crowd, Flood } from './orders.ts';
import type { Attacked } from './payloads.ts';
import { type Pod, podMiB, startPod } from './pod.ts';
import { type Probe, readiness } from './probes.ts';
import { createTable } from './table.ts';

const skip = existsSync('/proc/self/status') ? false : 'needs /proc';
/** `npm test` skips what takes many seconds; POD_MATRIX=all does not. */
const isWhole = process.env['POD_MATRIX'] === 'all';
/** Lines with this in their name are played alone. */
const chosen = process.env['POD_LINE'];
const { methods } = TestServiceDefinition;
const reflection = {
  path: pathOf(ServerReflectionDefinition, ServerReflectionDefinition.methods.serverReflectionInfo),
  requestStream: true,
};
const orca = {
  path: pathOf(OpenRcaServiceDefinition, OpenRcaServiceDefinition.methods.streamCoreMetrics),
  requestStream: false,
};

/** An attack with little input. */
interface Line {
  name: string;
  hasTls?: boolean;
  hasClientCa?: boolean;
  isLong?: boolean;
  order: FloodOrder | CrowdOrder;
  probes?: (pod: Pod) => Probe[];
  /** The maximum memory in MiB, if the limit of the pod would be far too much. */
  most?: number;
  /** A further check. */
  check?: (outcome: Outcome) => void;
}

type FloodOrder = Omit<Flood, 'port' | 'calls'>;
type CrowdOrder = Omit<Crowd, 'port'> & { port: keyof Pod['ports'] };

const lines: readonly Line[] = [
  {
    name: 'reflection of 25 kB of gzip, which are 4 MiB that are no UTF-8',
    order: {
      ...flood(reflection, 'a host that is no UTF-8', { connections: 1, streams: 100 }),
      reads: 'none',
      time: 3000,
    },
  },
  {
    name: 'reflection of descriptors, which nobody reads',
    order: flood(reflection, 'questions', { connections: 1, streams: 1000, reads: 'half' }),
  },
  {
    name: 'UnaryCall for a status of 4 MiB',
    order: flood(of('unaryCall'), 'a status of 4 MiB', { connections: 1, streams: 100 }),
  },
  {
    name: 'UnaryCall for responses of 4 MiB, which nobody reads',
    isLong: true,
    order: flood(of('unaryCall'), 'responses of 4 MiB', { streams: 250, reads: 'none' }),
  },
  {
    name: 'UnaryCall with 4 MiB in JSON, whose responses not all read',
    order: flood(of('unaryCall'), '4 MiB in JSON', { streams: 20, reads: 'half' }),
  },
  {
    name: 'UnaryCall with 4 MiB in gRPC-Web, whose responses not all read',
    order: flood(of('unaryCall'), '4 MiB in gRPC-Web', { streams: 20, reads: 'half' }),
  },
  {
    name: 'StreamingOutputCall for responses of 4 MiB, which not all read',
    isLong: true,
    order: flood(of('streamingOutputCall'), 'responses of 4 MiB', { streams: 250, reads: 'half' }),
  },
  {
    name: 'HalfDuplexCall with requests that are kept, 2.1 MB of them',
    order: {
      ...flood(of('halfDuplexCall'), 'requests that are kept', { connections: 1, streams: 10 }),
      time: 3000,
    },
  },
  {
    name: 'StreamCoreMetrics every 10 ms on 1,000 streams',
    order: {
      ...flood(orca, 'a report every 10 ms', { connections: 1, streams: 1000 }),
      time: 3000,
    },
    check({ done: { messages, took } }) {
      // One at once, and then at most one a second.
      const most = 1000 * (1 + Math.ceil(took / 1000));
      assert.ok(messages > 0 && messages <= most, `${messages} reports, not ${most}`);
    },
  },
  {
    name: 'metadata that is echoed to one who does not read',
    order: flood(of('emptyCall'), 'metadata that is echoed', {
      connections: 1,
      streams: 2700,
      reads: 'nothing',
    }),
  },
  {
    name: 'metadata that is echoed to forty who do not read',
    isLong: true,
    order: flood(of('emptyCall'), 'metadata that is echoed', { streams: 250, reads: 'nothing' }),
  },
  {
    name: '6,000 half TLS handshakes',
    hasTls: true,
    order: { do: 'crowd', port: 'main', connections: 6000, says: 'client hello' },
  },
  {
    name: '400 TLS handshakes that show 98 kB of certificates and do not end',
    hasClientCa: true,
    order: { do: 'crowd', port: 'main', connections: 400, says: 'half tls' },
    most: 120,
  },
  {
    name: '400 idle connections of a client that has shown 98 kB of certificates',
    hasClientCa: true,
    order: { do: 'crowd', port: 'main', connections: 400, says: 'tls' },
    most: 120,
  },
  {
    name: '3,000 idle connections with TLS',
    isLong: true,
    hasTls: true,
    order: { do: 'crowd', port: 'main', connections: 3000, says: 'tls' },
  },
  {
    name: '15,500 idle connections',
    isLong: true,
    order: { do: 'crowd', port: 'main', connections: 15_500, says: 'preface' },
  },
  {
    name: '15,500 connections that say nothing',
    isLong: true,
    order: { do: 'crowd', port: 'main', connections: 15_500, says: 'nothing' },
  },
  {
    name: '1,100 idle connections on the health port',
    order: { do: 'crowd', port: 'health', connections: 1100, says: 'preface' },
  },
  {
    name: '60 idle connections on the admin port',
    order: { do: 'crowd', port: 'admin', connections: 60, says: 'nothing' },
    probes: ({ ports }) => [readiness(ports.admin)],
  },
];

test(`${podMiB} MiB are enough against attacks with little input`, { skip }, async (t) => {
  using load = startLoad();
  const table = createTable('');
  const played = lines.filter(({ name, isLong }) =>
    chosen === undefined ? isWhole || !isLong : name.includes(chosen),
  );
  for (const { name, order, probes, most = podMiB, check, ...more } of played) {
    await t.test(name, async (t) => {
      await using pod = await startPod({ ...more, env: { GREETER_INTEROP: 'on' } });
      const whole =
        order.do === 'crowd'
          ? { ...order, port: pod.ports[order.port], identity: pod.identity }
          : { ...order, port: pod.ports.main, calls: Infinity };
      const outcome = await attack({ pod, load, probes: probes?.(pod) ?? [] }, whole);
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
});

/** Calls for a second, by default from forty connections, with responses read. */
function flood(
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

function of(name: keyof typeof methods): Attacked {
  const method = methods[name];
  return { path: pathOf(TestServiceDefinition, method), requestStream: method.requestStream };
}
