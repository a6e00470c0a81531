import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { ServerReflectionDefinition } from '../../src/gen/grpc/reflection/v1/reflection.ts';
import { OpenRcaServiceDefinition } from '../../src/gen/xds/service/orca/v3/orca.ts';
import { pathOf } from '../../src/transport/paths.ts';
import { type Kind, paths } from '../support/kinds.ts';
import { scriptPaths } from '../support/script.ts';
import { flood, type Line, playLines } from './lines.ts';
import type { Attacked } from './payloads.ts';
import { podMiB } from './pod.ts';
import { readiness } from './probes.ts';

const skip = existsSync('/proc/self/status') ? false : 'needs /proc';
const reflection = {
  path: pathOf(ServerReflectionDefinition, ServerReflectionDefinition.methods.serverReflectionInfo),
  requestStream: true,
};
const orca = {
  path: pathOf(OpenRcaServiceDefinition, OpenRcaServiceDefinition.methods.streamCoreMetrics),
  requestStream: false,
};
const echoBidi = { path: paths.bidi, requestStream: true };
const echoStream = { path: paths.clientStream, requestStream: true };

const posts = { do: 'posts', path: scriptPaths.unary, size: 4_000_000, missing: 0 } as const;

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
    name: 'a unary call for a status of 4 MiB',
    order: flood(script('unary'), 'a status of 4 MiB', { connections: 1, streams: 100 }),
  },
  {
    name: 'a unary call for responses of 4 MiB, which nobody reads',
    isLong: true,
    order: flood(script('unary'), 'responses of 4 MiB', { streams: 250, reads: 'none' }),
  },
  {
    name: 'a unary call with 4 MiB in JSON, whose responses not all read',
    order: flood(script('unary'), '4 MiB in JSON', { streams: 20, reads: 'half' }),
  },
  {
    name: 'a unary call with 4 MiB in gRPC-Web, whose responses not all read',
    order: flood(script('unary'), '4 MiB in gRPC-Web', { streams: 20, reads: 'half' }),
  },
  {
    name: 'streams of Connect with 4 MiB in each message, as they are or in 20 bytes',
    order: {
      ...flood(echoBidi, '4 MiB in a stream of Connect', { connections: 8, streams: 4 }),
      time: 5000,
    },
  },
  {
    name: 'streams of Connect without a message',
    order: {
      ...flood(echoBidi, 'nothing yet, in a stream of Connect', {
        connections: 8,
        streams: 1000,
        reads: 'none',
      }),
      time: 5000,
    },
  },
  {
    name: 'bodies of 4 MB over HTTP/1.1 on 100 connections, whose responses not all read',
    order: { ...posts, connections: 100, time: 3000 },
  },
  {
    name: 'the same on 300 connections for 20 s',
    isLong: true,
    order: { ...posts, connections: 300, time: 20_000 },
  },
  {
    name: 'bodies of 4 MB over HTTP/1.1 that are never complete, on 300 connections',
    isLong: true,
    order: { ...posts, missing: 10, connections: 300, time: 10_000 },
  },
  {
    name: 'a server stream for responses of 4 MiB, which not all read',
    isLong: true,
    order: flood(script('serverStream'), 'responses of 4 MiB', { streams: 250, reads: 'half' }),
  },
  {
    name: 'a client stream with requests that are kept, 2.1 MB of them',
    order: {
      ...flood(echoStream, 'requests that are kept', { connections: 1, streams: 10 }),
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
      // One at once, and then at most one in 30 seconds.
      const most = 1000 * (1 + Math.floor(took / 30_000));
      assert.ok(messages > 0 && messages <= most, `${messages} reports, not ${most}`);
    },
  },
  {
    name: 'metadata that is returned to one who does not read',
    order: flood(script('unary'), 'metadata that is returned', {
      connections: 1,
      streams: 2700,
      reads: 'nothing',
    }),
  },
  {
    name: 'metadata that is returned to forty who do not read',
    isLong: true,
    order: flood(script('unary'), 'metadata that is returned', { streams: 250, reads: 'nothing' }),
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
  await playLines(t, lines, { GREETER_LOAD_REPORTS: 'on' });
});

function script(kind: Kind): Attacked {
  return { path: scriptPaths[kind], requestStream: kind === 'clientStream' || kind === 'bidi' };
}
