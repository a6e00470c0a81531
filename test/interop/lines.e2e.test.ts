import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { OpenRcaServiceDefinition } from '../../src/gen/xds/service/orca/v3/orca.ts';
import { pathOf } from '../../src/transport/paths.ts';
import { flood, type Line, playLines } from '../pod/lines.ts';
import { podMiB } from '../pod/pod.ts';
import { interopEnv, testMethod } from './pod.ts';

const skip = existsSync('/proc/self/status') ? false : 'needs /proc';
const orca = {
  path: pathOf(OpenRcaServiceDefinition, OpenRcaServiceDefinition.methods.streamCoreMetrics),
  requestStream: false,
};
const unary = testMethod('unaryCall');
const output = testMethod('streamingOutputCall');

const lines: readonly Line[] = [
  {
    name: 'UnaryCall for a status of 4 MiB',
    order: flood(unary, 'a status of 4 MiB', { connections: 1, streams: 100 }),
  },
  {
    name: 'UnaryCall for responses of 4 MiB, which nobody reads',
    isLong: true,
    order: flood(unary, 'responses of 4 MiB', { streams: 250, reads: 'none' }),
  },
  {
    name: 'StreamingOutputCall for responses of 4 MiB, which not all read',
    isLong: true,
    order: flood(output, 'responses of 4 MiB', { streams: 250, reads: 'half' }),
  },
  {
    name: 'HalfDuplexCall with requests that are kept, 2.1 MB of them',
    order: {
      ...flood(testMethod('halfDuplexCall'), 'requests that are kept', {
        connections: 1,
        streams: 10,
      }),
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
    name: 'metadata that is echoed to forty who do not read',
    isLong: true,
    order: flood(testMethod('emptyCall'), 'metadata that is echoed', {
      streams: 250,
      reads: 'nothing',
    }),
  },
];

test(
  `${podMiB} MiB are enough against attacks on the interop services with little input`,
  { skip },
  (t) => playLines(t, lines, interopEnv),
);
