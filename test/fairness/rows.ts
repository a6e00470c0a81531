import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:http2';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { Flag } from '../../src/engine/http2/frames.ts';
import { field, insert } from '../hpack/blocks.ts';
import { greeting, ids } from '../http2_attacks/greeting.ts';
import { callOf, headers } from '../http2_attacks/targets.ts';
import { word } from '../support/http2_peer.ts';
import { paths } from '../support/kinds.ts';
import { scriptPaths, scriptRequest, threeReplies } from '../support/script.ts';
import { type Shape, shapesOf } from '../pod/payloads.ts';
import {
  bomb,
  type Calls,
  calls,
  compressedResponse,
  echoed,
  repeatedMessages,
  frameBytes,
  groups,
  jsonValues,
  MiB,
  nothing,
  partOf,
  responses,
  times,
} from './bytes.ts';
import { cpuTime } from '../support/cpu.ts';
import { dialSession, sum, unary } from './honest.ts';
import { type Hostile, type Stream, until } from './hostile.ts';

/** What one peer sends, while another one is honest. */
export interface Row {
  /** Its name. */
  name: string;
  what: string;
  /** True for the settings of a pod. */
  isPod?: boolean;
  /** True if the honest client compresses its calls. */
  isZipped?: boolean;
  /** True if its own rule counts events over time, which is noise in less time. */
  isCounted?: boolean;
  attack: (hostile: Hostile) => Promise<void>;
}

const unknown = '/echo.Script/Nope';
const health = '/grpc.health.v1.Health/';
const holdMs = 3000;
const unaryCall = { path: scriptPaths.unary, requestStream: false };
const output = { path: scriptPaths.serverStream, requestStream: false };
const reflection = {
  path: '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  requestStream: true,
};
const zipped = { 'grpc-encoding': 'gzip' };
const connectStream = 'application/connect+proto';
const grpcWeb = 'application/grpc-web+proto';
const json = 'application/json';

/** Calls of one kind on many connections at once, with all of their responses. */
function burst(connections: number, what: Calls): Row['attack'] {
  return async (hostile) => {
    const lines = await hostile.connect(connections);
    await hostile.burst(lines, calls(what), what.count);
  };
}

/** Calls that stay open for the duration of a rate, or a multiple of it. */
function hold(connections: number, what: Calls, rates = 1): Row['attack'] {
  return async (hostile) => {
    const bytes = calls(what);
    for (const { socket } of await hostile.connect(connections)) socket.write(bytes);
    await sleep(rates * hostile.rateMs);
  };
}

function pour(connections: number, stream: Stream): Row['attack'] {
  return (hostile) => hostile.pour(connections, stream);
}

function flood(
  shapes: () => readonly Shape[],
  options: Parameters<Hostile['flood']>[1] = {},
): Row['attack'] {
  return (hostile) => hostile.flood(shapes(), options);
}

/** Frames on an open client stream, repeated. */
function onOpenCall(again: Buffer, path: string = scriptPaths.clientStream): Stream {
  return { first: headers(1, callOf(path)), again: () => again };
}

/** Empty messages, a thousand at a time, each in its own frame. */
function singly(path: string): Stream {
  const again = times(1000, frameBytes('DATA', nothing, { streamId: 1 }));
  return { ...onOpenCall(again, path), takes: 1000 * nothing.length };
}

/** Frames of a hundred streams at a time. */
function onNewCalls(frames: (id: number) => Buffer[]): Stream {
  return {
    again: (round) => Buffer.concat(ids(100).flatMap((id) => frames(id + 200 * round))),
  };
}

const open = headers(1, callOf(scriptPaths.clientStream)).subarray(9);

/** All rows; those of the first table come first. */
export const rows: readonly Row[] = [
  {
    name: 'unary-1',
    what: '1 connection, 1,000 unary calls at once',
    attack: burst(1, { path: scriptPaths.unary, count: 1000, body: nothing }),
  },
  {
    name: 'unary-8',
    what: '8 connections, 1,000 unary calls each at once',
    attack: burst(8, { path: scriptPaths.unary, count: 1000, body: nothing }),
  },
  {
    name: 'unary-40',
    what: '40 connections, 1,000 unary calls each at once',
    attack: burst(40, { path: scriptPaths.unary, count: 1000, body: nothing }),
  },
  {
    name: 'unknown-40',
    what: '40 connections, 1,000 calls each of a method that nobody serves',
    attack: burst(40, { path: unknown, count: 1000, body: nothing }),
  },
  {
    name: 'groups',
    what: '4.1 kB of gzip that inflates to empty unknown groups, 4 calls at a time',
    attack: flood(() => [{ block: callOf(scriptPaths.unary, zipped), body: groups() }], {
      connections: 1,
      streams: 4,
    }),
  },
  {
    name: 'web-messages',
    what: 'gRPC-Web: 4 MiB of empty messages in a repeated field, 4 calls on each of 4 connections',
    attack: flood(
      () => [{ block: callOf(output.path, { 'content-type': grpcWeb }), body: repeatedMessages() }],
      { connections: 4, streams: 4 },
    ),
  },
  {
    name: 'web-nothing',
    what: 'Connect: 1 MB of empty messages in a stream, 4 calls on each of 4 connections',
    attack: flood(
      () => [
        {
          block: callOf(paths.bidi, { 'content-type': connectStream }),
          body: times(200_000, nothing),
        },
      ],
      { connections: 4, streams: 4 },
    ),
  },
  {
    name: 'web-json',
    what: 'JSON with 9,000 values, 4 calls on each of 40 connections',
    attack: flood(
      () => [
        { block: callOf(scriptPaths.unary, { 'content-type': json }), body: jsonValues(9000) },
      ],
      { connections: 40, streams: 4 },
    ),
  },
  {
    name: 'web-bodies',
    what: 'bodies of 4 MB over HTTP/1.1 on 40 connections, whose responses not all read',
    isPod: true,
    attack: async (hostile) => {
      const order = { path: scriptPaths.unary, size: 4_000_000, missing: 0 };
      // The first request loads the code for all.
      await hostile.post({ ...order, size: 100, connections: 1 }, 500);
      await hostile.post({ ...order, connections: 40 });
    },
  },
  {
    name: 'groups-60',
    what: '60 such calls at once; the honest client compresses, too',
    isZipped: true,
    // Compressed in the attacking process only.
    attack: (hostile) =>
      burst(1, { path: scriptPaths.unary, count: 60, body: groups(), fields: zipped })(hostile),
  },
  {
    name: 'empty-messages',
    what: 'empty messages in one client stream',
    attack: flood(emptyMessages, { connections: 1, streams: 1 }),
  },
  {
    name: 'empty-messages-30',
    what: 'the same in 30 streams of one connection',
    attack: flood(emptyMessages, { connections: 1, streams: 30, uploads: 30 }),
  },
  {
    name: 'empty-messages-frames',
    what: 'the same in one stream, each in a frame of its own',
    attack: pour(1, singly(scriptPaths.clientStream)),
  },
  {
    name: 'empty-messages-bidi',
    what: 'the same in a bidi call of 8 connections each, every one answered',
    attack: pour(8, singly(scriptPaths.bidi)),
  },
  {
    name: 'idle-bidi',
    what: '10,000 idle bidi calls for 5 s',
    attack: hold(10, { path: scriptPaths.bidi, count: 1000 }, 5 / 3),
  },
  {
    name: 'echo',
    what: 'unary echo of 4 MB at 6, 12, 20 and 50 clients, 5 s each',
    isPod: true,
    isCounted: true,
    attack: echo,
  },
  {
    name: 'upload',
    what: '1,010 holders of 64 KiB each, and three honest uploads of 3 MiB',
    attack: upload,
  },
  {
    name: 'watch',
    what: 'Health/Watch on 300 connections × 1,000 streams',
    attack: hold(300, { path: `${health}Watch`, count: 1000, body: nothing }),
  },
  {
    name: 'check',
    what: 'Health/Check never ended on 45 connections × 1,000 streams',
    attack: hold(45, { path: `${health}Check`, count: 1000 }),
  },
  {
    name: 'unary-flood',
    what: 'unary calls on 40 connections, 250 at a time',
    attack: flood(() => shapes([scriptPaths.unary])),
  },
  {
    name: 'unary-methods',
    what: 'four unary methods on 40 connections, 250 at a time',
    attack: flood(() =>
      shapes([scriptPaths.unary, paths.unary, '/echo.Ping/Ping', `${health}Check`]),
    ),
  },
  {
    name: 'metadata',
    what: 'metadata at its limit on 40 connections',
    attack: flood(() => shapesOf(unaryCall, 'metadata')),
  },
  {
    name: 'nesting',
    what: 'deep nesting, zipped, on 8 connections',
    attack: flood(() => shapesOf(unaryCall, 'nesting'), { connections: 8, streams: 100 }),
  },
  {
    name: 'repeated',
    what: 'large repeated fields, zipped, on 8 connections',
    attack: flood(() => shapesOf(output, 'repeated field'), { connections: 8, streams: 100 }),
  },
  {
    name: 'utf8',
    what: '4 MiB that is no UTF-8, zipped, on 8 connections',
    attack: flood(() => shapesOf(unaryCall, 'invalid UTF-8'), { connections: 8, streams: 100 }),
  },
  ...[10, 100, 1000].map((ratio): Row => ({
    name: `bomb-${ratio}`,
    what: `gzip of 4 MiB, 1:${ratio}, on 8 connections`,
    attack: flood(() => [{ block: callOf(scriptPaths.unary, zipped), body: bomb(ratio) }], {
      connections: 8,
      streams: 100,
    }),
  })),
  {
    name: 'small-responses',
    what: '1,000 responses of 1 byte each on 10 × 10 calls, read at once',
    attack: flood(() => [{ block: callOf(output.path), body: responses(1000, 1) }], {
      connections: 10,
      streams: 10,
    }),
  },
  {
    name: 'small-responses-slow',
    what: 'the same, half of them read',
    attack: flood(() => [{ block: callOf(output.path), body: responses(1000, 1) }], {
      connections: 10,
      streams: 10,
      reads: 'half',
    }),
  },
  {
    name: 'small-responses-many',
    what: '100 responses of 1 byte each on 40 × 25 calls, read at once',
    attack: flood(() => [{ block: callOf(output.path), body: responses(100, 1) }], { streams: 25 }),
  },
  {
    name: 'huge-responses',
    what: 'responses of 4 MiB on 10 × 10 calls, half of them read',
    attack: flood(() => shapesOf(output, 'responses of 4 MiB'), {
      connections: 10,
      streams: 10,
      reads: 'half',
    }),
  },
  {
    name: 'compressed-responses',
    what: 'compressed responses of 4 MiB on 8 × 10 calls; the honest client compresses, too',
    isZipped: true,
    attack: flood(
      () => {
        const block = callOf(scriptPaths.unary, { 'grpc-accept-encoding': 'gzip' });
        return [{ block, body: compressedResponse(4 * MiB - 1024) }];
      },
      { connections: 8, streams: 10 },
    ),
  },
  {
    name: 'status',
    what: 'statuses of 4 MiB on 8 connections',
    attack: flood(() => shapesOf(unaryCall, 'a status of 4 MiB'), { connections: 8, streams: 100 }),
  },
  {
    name: 'kept-requests',
    what: 'Echo/ClientStream with 500 zipped requests of 4 MiB on 1 × 10 calls',
    attack: flood(
      () => shapesOf({ path: paths.clientStream, requestStream: true }, 'requests that are kept'),
      { connections: 1, streams: 10 },
    ),
  },
  {
    name: 'reflection',
    what: '1,000 questions for descriptors in each of 1 × 100 calls',
    attack: flood(() => shapesOf(reflection, 'questions'), { connections: 1, streams: 100 }),
  },
  {
    name: 'pauses',
    what: '9,000 server streams, whose pauses end together',
    attack: hold(
      9,
      { path: scriptPaths.serverStream, count: 1000, body: scriptRequest(threeReplies(3000)) },
      5 / 3,
    ),
  },
  {
    name: 'deadlines',
    what: '9,000 calls whose deadlines come together',
    attack: hold(9, {
      path: scriptPaths.clientStream,
      count: 1000,
      fields: { 'grpc-timeout': '2S' },
    }),
  },
  {
    name: 'refused-streams',
    what: 'streams above the limit of 1,000 on 40 connections',
    attack: pour(
      40,
      onNewCalls((streamId) => [headers(streamId, open)]),
    ),
  },
  {
    name: 'connections',
    what: '3,000 connections that say hello and no more',
    async attack(hostile) {
      await hostile.connect(3000);
      await sleep(1000);
    },
  },
  {
    name: 'ping',
    what: 'PING on 40 connections',
    attack: pour(40, { again: () => times(1000, frameBytes('PING', Buffer.alloc(8))) }),
  },
  {
    name: 'settings',
    what: 'SETTINGS on 40 connections',
    attack: pour(40, { again: () => times(1000, frameBytes('SETTINGS')) }),
  },
  {
    name: 'reset',
    what: 'rapid reset on 40 connections',
    attack: pour(
      40,
      onNewCalls((streamId) => [
        headers(streamId, open, Flag.END_STREAM),
        frameBytes('RST_STREAM', word(ErrorCode.CANCEL), { streamId }),
      ]),
    ),
  },
  {
    name: 'window-update',
    what: 'WINDOW_UPDATE of 1 on 40 connections',
    attack: pour(40, {
      hello: greeting(),
      again: () => times(1000, frameBytes('WINDOW_UPDATE', word(1))),
    }),
  },
  {
    name: 'empty-data',
    what: 'empty DATA on 40 connections',
    attack: pour(40, onOpenCall(times(1000, frameBytes('DATA', undefined, { streamId: 1 })))),
  },
  {
    name: 'tiny-data',
    what: 'DATA of 1 byte on 40 connections, no message whole',
    attack: pour(40, {
      ...onOpenCall(times(1000, frameBytes('DATA', Buffer.alloc(1, 1), { streamId: 1 }))),
      takes: 1000,
    }),
  },
  {
    name: 'continuation',
    what: 'empty CONTINUATION on 40 connections',
    attack: pour(40, {
      first: frameBytes('HEADERS', open, { streamId: 1 }),
      again: () => times(1000, frameBytes('CONTINUATION', undefined, { streamId: 1 })),
    }),
  },
  {
    name: 'continuation-large',
    what: 'header blocks of 1 MiB of indexed fields on 40 connections',
    attack: pour(40, { again: hpackBomb }),
  },
  {
    name: 'blocks',
    what: 'header blocks of 1 MB that do not end on 100 connections',
    isPod: true,
    attack: async (hostile) => {
      const bytes = incompleteBlock();
      for (const { socket } of await hostile.connect(100)) socket.write(bytes);
      await sleep(hostile.rateMs);
    },
  },
];

function incompleteBlock(): Buffer {
  const part = Buffer.alloc(16_000, 'x');
  const more = frameBytes('CONTINUATION', part, { streamId: 1 });
  return Buffer.concat([frameBytes('HEADERS', part, { streamId: 1 }), times(60, more)]);
}

function emptyMessages(): Shape[] {
  return [{ block: callOf(scriptPaths.clientStream), body: Buffer.alloc(64 * MiB) }];
}

/** The message of a unary call for each path: fields that the others do not know are skipped. */
function shapes(all: readonly string[]): Shape[] {
  return all.map((path) => ({ block: callOf(path), body: echoed(10) }));
}

/** Adds a field of 4 kB to the table once, and then references it as often as a block allows. */
function hpackBomb(round: number): Buffer {
  const [streamId, size] = [2 * round + 1, 16_000];
  const first = Buffer.concat([callOf(scriptPaths.unary), insert('x', 'x'.repeat(4000))]);
  const flags = Flag.END_STREAM;
  return Buffer.concat([
    frameBytes('HEADERS', first, { streamId, flags }),
    ...Array.from({ length: 60 }, () =>
      frameBytes('CONTINUATION', times(size, field(62)), { streamId }),
    ),
    frameBytes('CONTINUATION', field(62), { streamId, flags: Flag.END_HEADERS }),
  ]);
}

const clients = [6, 12, 20, 50];
/** The duration for each number of clients, as a multiple of a rate. */
const echoTimes = 5 / 3;
const dialMs = 5000;
/** The minimum of what fifty clients complete, relative to the best of fewer clients, */
const minOfBest = 0.9;
/**
 * or this, if they complete `minOfBest` for each second of the server's processor time: many clients in one process
 * slow each other down.
 */
const minOfMost = 0.75;

/** Repeats calls at once, whatever the result of the previous one. */
async function echo(hostile: Hostile): Promise<void> {
  const call = { path: scriptPaths.unary, body: echoed(4_000_000) };
  const oks: number[] = [];
  const rates: number[] = [];
  const notes: string[] = [];
  for (const count of clients) {
    const cpuBefore = cpuTime(hostile.pid);
    const end = performance.now() + echoTimes * hostile.rateMs;
    const got: Record<string, number> = {};
    const one = async (): Promise<void> => {
      const session = await dialLarge(hostile.port);
      const late = setTimeout(() => session.destroy(), end - performance.now());
      session.once('close', () => clearTimeout(late));
      while (performance.now() < end) {
        const status = session.destroyed ? 'no connection' : await unary(session, call);
        if (performance.now() < end) got[status] = (got[status] ?? 0) + 1;
        if (session.destroyed) break;
      }
      hostile.sent(session.socket?.bytesWritten ?? 0);
      session.destroy();
    };
    await Promise.all(Array.from({ length: count }, one));
    const { 0: ok = 0, ...rest } = got;
    oks.push(ok);
    const rate = (1000 * ok) / Math.max(1, cpuTime(hostile.pid) - cpuBefore);
    rates.push(rate);
    const all = ok + sum(Object.values(rest));
    notes.push(`${count} clients: ${ok} OK of ${all}, ${rate.toFixed(1)} a CPU second`);
  }
  hostile.note = notes.join(', ');
  const [ofTime, ofCpu] = [lastOfBest(oks), lastOfBest(rates)];
  if (ofTime < minOfMost || Math.max(ofTime, ofCpu) < minOfBest) {
    const part = `${ofTime.toFixed(2)} of the best, ${ofCpu.toFixed(2)} a CPU second`;
    hostile.failures.push(`${clients.at(-1)} clients have ${part}`);
  }
}

function lastOfBest(found: readonly number[]): number {
  return (found.at(-1) ?? 0) / Math.max(...found);
}

/** A client with windows as large as the responses that it requests. */
async function dialLarge(port: number) {
  const session = connect(`http://127.0.0.1:${port}`, {
    settings: { initialWindowSize: 8 * MiB },
  });
  session.on('error', () => {});
  await until(() => !session.connecting, dialMs);
  if (!session.destroyed) session.setLocalWindowSize(16 * MiB);
  return session;
}

const holders = { connections: 10, streams: 101 };

async function upload(hostile: Hostile): Promise<void> {
  const lines = await hostile.connect(holders.connections);
  const body = partOf(64 * 1024);
  const bytes = calls({
    path: scriptPaths.clientStream,
    count: holders.streams,
    body,
    ends: false,
  });
  for (const { socket } of lines) socket.write(bytes);
  await until(() => lines.every(({ socket }) => socket.writableLength === 0), holdMs);
  await sleep(1000);
  const session = await dialSession(`127.0.0.1:${hostile.port}`);
  const statuses: string[] = [];
  for (let i = 0; i < 3; i++) {
    const call = { path: scriptPaths.unary, body: echoed(3 * MiB) };
    statuses.push(await unary(session, call));
  }
  session.destroy();
  const lost = sum(lines.map(({ ended }) => ended));
  const fine = statuses.filter((status) => status === '0').length;
  hostile.note = `${fine} of 3 uploads OK (${statuses.join(', ')}), ${lost} holders given up`;
  if (fine < 3) hostile.failures.push(`${fine} of 3 uploads OK`);
}
