import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { mock, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Status } from 'nice-grpc-common';
import { pino } from 'pino';
import { CallEvents } from '../src/engine/grpc/call.ts';
import { OpenCalls } from '../src/engine/grpc/open_calls.ts';
import { serverOn } from '../src/engine/grpc/server.ts';
import { ownAccount } from './support/account.ts';
import { Connection } from '../src/engine/http2/connection.ts';
import { Flag, FrameType, preface } from '../src/engine/http2/frames.ts';
import { createHpackDecoder } from '../src/engine/http2/hpack/decoder.ts';
import { createCallCounts } from '../src/observability/call_counts.ts';
import { buildServer } from '../src/transport/server.ts';
import { createCallFuzzClient, framesIn } from './support/grpc_fuzz_client.ts';
import { fuzzEcho } from './support/grpc_fuzz_server.ts';
import { eventually, methods, servicesOf } from './support/harness.ts';
import { createRandom } from './hpack/random.ts';
import { createIdleShare } from './support/http2_fuzz_client.ts';
import { frameOf } from './support/http2_peer.ts';
import { usedMemory } from './support/memory.ts';
import { createHttp2Server, createRouter, defaultLimits } from './support/engine.ts';

/** `FUZZ_SEED=… FUZZ_SESSIONS=1` repeats a failure. */
const seed = Number(process.env['FUZZ_SEED'] ?? Math.trunc(Date.now() / 1000));
const sessions = Number(process.env['FUZZ_SESSIONS'] ?? 250);
/** The sessions after which all code is compiled, and all caches are filled. */
const warmUp = 125;
/** The allowed growth of memory in bytes. */
const maxGrowth = 1024 * 1024;
/** The maximum turns of the event loop until everything has ended. */
const maxTurns = 1_000_000;
const limits = { ...defaultLimits, maxConcurrentStreams: 20 };
const greeting = Buffer.concat([preface, frameOf(FrameType.SETTINGS, 0, 0, Buffer.alloc(0))]);

mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
let now = 0;
let session = 0;
/** Log lines by request ID. */
let logged: { request_id: string; 'rpc.status_code': string }[] = [];
const openCalls = new OpenCalls();
const router = createRouter({
  calls: openCalls,
  maxMessageSize: 50_000,
  now: () => now,
});
const http2 = createHttp2Server({ serve: router.serve });
const server = buildServer(
  serverOn(() => ({ router, http2, maxHandshakes: 0 })),
  {
    log: pino(
      { base: null, level: 'debug' },
      { write: (json) => void logged.push(JSON.parse(json)) },
    ),
    counts: createCallCounts(methods),
    deadlines: { max: 60_000, fallback: 30_000 },
    maxInFlight: 10_000,
    ...(await servicesOf({ echo: fuzzEcho(() => session) })),
  },
);
// The router has methods from then on; nothing connects.
await server.listen({ host: '127.0.0.1', port: 0 });
server.forceShutdown();

/** Plays one session on one connection; throws on failure. */
async function play(): Promise<void> {
  const random = createRandom(session);
  const { below, oneIn, pick } = random;
  const socket = new Socket();
  const { accounts, account, of } = ownAccount({ bytes: pick([10_000, 1e6]) });
  logged = [];
  let calls = 0;
  const connection = new Connection({
    limits,
    account,
    serve(stream, request) {
      const events = router.serve(stream, request, socket);
      if (events instanceof CallEvents) calls++;
      return events;
    },
    wake() {},
    now: () => now,
  });
  of(connection);
  const { table, ...share } = createIdleShare(limits);
  const wrongOneIn = pick([0, 0, 30, 300]);
  const client = createCallFuzzClient({ random, table, wrongOneIn });
  const answers = createAnswers();

  say(greeting);
  for (let round = 0; round < 100 && !connection.isOver; round++) {
    say(client.say());
    if (oneIn(3)) await setImmediate();
    if (oneIn(2)) answers.read(connection.take({ room: !oneIn(3) }));
    if (oneIn(30)) pass(pick([1, 100, 60_000]));
    if (oneIn(1000)) connection.shutdown();
    if (oneIn(20)) accounts.tick(0);
  }
  for (const bytes of client.leave()) if (!connection.isOver) say(bytes);
  answers.read(connection.take({ room: true }));
  const wasOver = connection.isOver;
  if (!wasOver && wrongOneIn === 0) assert.equal(connection.openStreams, 0);
  connection.close();
  answers.read(connection.take({ room: true }));
  assert.equal(connection.openStreams, 0);
  // Other threads may still decompress messages.
  await eventually('all bytes to be given back', () => accounts.used.bytes === 0);
  assert.deepEqual(accounts.used, { bytes: 0, calls: 0, streams: 0 });

  const isOver = () => openCalls.size === 0 && logged.length >= calls;
  for (let turn = 0; turn < maxTurns && !isOver(); turn++) await setImmediate();
  assert.deepEqual([openCalls.size, openCalls.inChain, logged.length], [0, 0, calls]);
  for (const { request_id: id, 'rpc.status_code': code } of logged) {
    const told = answers.statuses.get(Number(id));
    if (told !== undefined && wrongOneIn === 0) assert.equal(code, told, `call ${id}`);
  }

  function say(bytes: Buffer): void {
    const at = below(bytes.length);
    connection.receive(bytes.subarray(0, at));
    connection.receive(bytes.subarray(at));
    try {
      share.read(bytes);
    } catch (error) {
      // The position in the input where the connection failed.
      if (!connection.isOver) throw error;
    }
  }
}

function pass(ms: number): void {
  now += ms;
  mock.timers.tick(ms);
}

/** Parses the server's output; throws if it is not valid HTTP/2 and gRPC. */
function createAnswers() {
  const hpack = createHpackDecoder({ maxHeaderListSize: 1e6 });
  const states = new Map<number, 'begun' | 'ended'>();
  const statuses = new Map<number, string>();
  return {
    /** The status of each call that has ended with one. */
    statuses,
    read(parts: readonly Buffer[]): void {
      for (const { type, flags, streamId, payload } of framesIn(Buffer.concat(parts))) {
        if (type !== FrameType.DATA && type !== FrameType.HEADERS) continue;
        const before = states.get(streamId);
        const ends = (flags & Flag.END_STREAM) !== 0;
        assert.notEqual(before, 'ended', `stream ${streamId} goes on`);
        if (type === FrameType.DATA) assert.equal(before, 'begun');
        else fields(streamId, { payload, isFirst: before === undefined, ends });
        states.set(streamId, ends ? 'ended' : 'begun');
      }
    },
  };

  function fields(
    streamId: number,
    { payload, isFirst, ends }: { payload: Buffer; isFirst: boolean; ends: boolean },
  ): void {
    const list = hpack.decode(payload).fields;
    assert.equal(list.includes(':status'), isFirst);
    const at = list.indexOf('grpc-status');
    if (at !== -1) statuses.set(streamId, Status[Number(list[at + 1])] ?? '');
    const isCall = list[1] === '200' || !isFirst;
    if (isCall) assert.equal(at !== -1, ends);
  }
}

test('the server survives random calls, and keeps nothing of them', async () => {
  let before = 0;
  for (let played = 0; played < sessions; played++) {
    if (played === warmUp) before = await usedMemory();
    session = seed + played;
    try {
      await play();
    } catch (cause) {
      assert.fail(new Error(`FUZZ_SEED=${session} FUZZ_SESSIONS=1`, { cause }));
    }
  }
  if (sessions <= warmUp) return;

  const grown = (await usedMemory()) - before;
  assert.ok(grown < maxGrowth, `grown by ${grown} bytes`);
});
