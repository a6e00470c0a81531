import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import type { Account } from '../src/engine/account.ts';
import { CallEvents } from '../src/engine/grpc/call.ts';
import { OpenCalls } from '../src/engine/grpc/open_calls.ts';
import { callCost } from '../src/engine/grpc/router.ts';
import { serverOn } from '../src/engine/grpc/server.ts';
import { createWebParts } from '../src/engine/grpc/web_parts.ts';
import type { Incident } from '../src/engine/http2/incident.ts';
import type { Http1Deps, Http2ServerOptions } from '../src/engine/net/connections.ts';
import type { ServeOther } from '../src/engine/net/socket.ts';
import type { ServeWeb } from '../src/engine/web.ts';
import { createCallCounts } from '../src/observability/call_counts.ts';
import { buildServer } from '../src/transport/server.ts';
import { allDescriptors } from './echo/descriptors.ts';
import { createRandom } from './hpack/random.ts';
import { createHttp2Server, createRouter } from './support/engine.ts';
import { fuzzEcho } from './support/grpc_fuzz_server.ts';
import { exempt, methods, servicesOf } from './support/harness.ts';
import { usedMemory } from './support/memory.ts';
import { MemorySocket } from './support/memory_socket.ts';
import {
  createHttp1FuzzClient,
  type Exchange,
  shownOf,
  type WebFuzzClient,
} from './support/web_fuzz_client.ts';
import { createHttp2FuzzClient } from './support/web_fuzz_http2_client.ts';
import { allowedOrigin, createFuzzRequests, maxMessageSize } from './support/web_fuzz_requests.ts';
import { trackTimers } from './support/waiting_timers.ts';
import { useZlibInTurn } from './support/zlib_in_turn.ts';

/** `FUZZ_SEED=… FUZZ_SESSIONS=1` repeats a failure. */
const seed = Number(process.env['FUZZ_SEED'] ?? Math.trunc(Date.now() / 1000));
const sessions = Number(process.env['FUZZ_SESSIONS'] ?? 30);
/** The sessions after which all code is compiled, and all caches are filled. */
const warmUp = 1000;
/** The allowed growth of memory in bytes; compiled code still grows for thousands of sessions. */
const maxGrowth = 2 * 1024 * 1024;
/** The maximum turns of the event loop until everything has ended. */
const maxTurns = 100_000;
/** The turns without anything happening after which time passes. */
const quietTurns = 20;
/** The milliseconds in which a call ends, and those in which all pipelined ones do. */
const maxCallMs = 61_000;
const maxWaitMs = 10 * maxCallMs;
/** The turns in which a client that has ended its side is closed. */
const maxWaitTurns = 300 * quietTurns;
const deadlines = { max: 60_000, fallback: 30_000 };
/** The memory in which nothing is refused. */
const plenty = 64 * 1024 * 1024;

/** A log line. */
interface Line {
  request_id: string;
  'rpc.status_code': string;
  protocol?: string;
  err?: { message: string };
}

let now = 1;
let session = 0;
let logged: Line[] = [];
/** Warnings, and rejections that nobody handles. */
const faults: unknown[] = [];

mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'] });
const timers = trackTimers((ms) => faults.push(new Error(`Cannot set a timer for ${ms} ms`)));
// Mocks of these would keep every call.
Object.assign(performance, { now: () => now });
Object.assign(process, { emitWarning: (warning: unknown) => void faults.push(warning) });
process.on('unhandledRejection', (error) => faults.push(error));
useZlibInTurn();
const { createWeb } = await import('../src/web/web.ts');

const openCalls = new OpenCalls();
const counts = createCallCounts(methods);
/** The calls of a session by protocol, and the accounts and incidents of its connections. */
let calls = { grpc: 0, 'grpc-web': 0, connect: 0 };
let accounts = new Set<Account>();
let incidents = new Map<object, Incident[]>();

const report: Required<Http2ServerOptions>['report'] = (incident, socket) => {
  const known = incidents.get(socket);
  if (known) known.push(incident);
  else incidents.set(socket, [incident]);
};
const serveWeb = await createWeb({
  descriptors: async () => allDescriptors(),
  isReady: () => true,
  corsOrigins: [allowedOrigin],
  maxMessageSize,
});
/** The requests that are being served, even if their clients have left. */
let served = 0;
const web = createWebParts({
  load: async () => counted,
  serve: (...about) => serve(...about),
  callCost,
  report,
});
const router = createRouter({
  calls: openCalls,
  maxMessageSize,
  ...exempt,
  now: () => now,
  report,
  serveWeb: web.serveStream,
});
const counted: ServeWeb = async (request) => {
  served++;
  try {
    const response = await serveWeb(request);
    const { body } = response;
    return body && !(body instanceof Uint8Array) ? { ...response, body: each(body) } : response;
  } finally {
    served--;
  }
};
async function* each(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  served++;
  try {
    yield* body;
  } finally {
    served--;
  }
}
const serve: Http2ServerOptions['serve'] = (stream, request, socket) => {
  accounts.add(stream.account);
  const events = router.serve(stream, request, socket);
  if (events instanceof CallEvents) calls[request.web?.protocol ?? 'grpc']++;
  return events;
};
const serveHttp1 = (deps: Http1Deps): ServeOther => {
  const attach = web.serveHttp1(deps);
  return (socket, received, parts) => {
    accounts.add(parts.account);
    return attach(socket, received, parts);
  };
};
const server = buildServer(
  serverOn(() => ({ router, http2: createHttp2Server({ serve }), maxHandshakes: 0 })),
  {
    log: pino(
      { base: null, level: 'debug' },
      { write: (json) => void logged.push(JSON.parse(json)) },
    ),
    counts,
    deadlines,
    maxInFlight: 10_000,
    ...(await servicesOf({ echo: fuzzEcho(() => session), maxMessageSize })),
  },
);
// The router has methods from then on; nothing connects.
await server.listen({ host: '127.0.0.1', port: 0 });
server.forceShutdown();

/** A connection, as its client sees it. */
interface Played {
  socket: MemorySocket;
  client: WebFuzzClient;
  /** True once the client has left. */
  isGone: boolean;
}

/** Plays one session; throws on failure. */
async function play(): Promise<void> {
  const random = createRandom(session);
  const { below, oneIn, pick } = random;
  const bytes = pick([20_000, 1e6, plenty, plenty, plenty]);
  logged = [];
  calls = { grpc: 0, 'grpc-web': 0, connect: 0 };
  accounts = new Set();
  incidents = new Map();
  const before = { ...counts.protocols };
  const http2 = createHttp2Server({
    serve,
    serveHttp1,
    report,
    now: () => now,
    random: () => 0.5,
    limits: { maxConcurrentStreams: 20 },
    maxBufferedBytes: bytes,
  });
  /** In some sessions, time passes while requests are incomplete, or the server shuts down. */
  const isHurried = oneIn(4);
  let isLeaving = false;
  let lastId = 0;
  const played: Played[] = Array.from({ length: pick([1, 1, 1, 2, 3]) }, connect);

  for (let round = pick([5, 20, 60]); round > 0; round--) {
    for (const each of played) {
      if (!each.socket.isOver) await sayOn(each, each.client.say());
      if (oneIn(300)) leave(each);
    }
    if (isHurried && oneIn(20)) await passInTurns(pick([1, 100, 1000, 15_000]));
    if (isHurried && oneIn(100)) {
      isLeaving = true;
      void http2.shutdown();
    }
  }
  await finish();
  for (const each of played) check(each);
  for (const each of played) leave(each);
  for (let turn = 1; turn < maxTurns && sum(left()) > 0; turn++) {
    await setImmediate();
    // A server that does not read, as it has too little memory, closes a connection by and by.
    const isOpen = played.some(({ socket }) => !socket.destroyed);
    if (isOpen && turn % quietTurns === 0 && turn < maxWaitTurns) pass(1000);
  }
  assert.equal(sum(left()), 0, `${JSON.stringify(left())} are left`);
  // Timers of closed connections.
  pass(maxCallMs);
  await setImmediate();
  checkRest();

  function connect(): Played {
    const socket = new MemorySocket(`10.0.0.${1 + below(2)}`);
    const isHttp1 = !oneIn(3);
    const version = isHttp1 ? '1.1' : '2';
    const next = createFuzzRequests({ random, version, nextId: () => `${++lastId}.${session}` });
    const create = isHttp1 ? createHttp1FuzzClient : createHttp2FuzzClient;
    const client = create({
      random,
      next,
      wrongOneIn: pick([0, 0, 0, 20]),
      now: () => now,
      mayLeave: () => isHurried || isLeaving || seriousOf(socket).length > 0,
    });
    http2.attach(socket);
    return { socket, client, isGone: false };
  }

  /** Sends bytes in TCP segments, and reads. */
  async function sayOn({ socket, client }: Played, whole: Buffer): Promise<void> {
    for (let rest = whole; rest.length > 0 && !socket.isOver;) {
      const length = oneIn(2) ? rest.length : 1 + below(rest.length);
      socket.arrive(rest.subarray(0, length));
      rest = rest.subarray(length);
      if (!oneIn(4)) await setImmediate();
    }
    if (oneIn(10)) socket.isPeerReading = !oneIn(2);
    if (!oneIn(3)) await setImmediate();
    if (oneIn(2)) client.hear(socket.takeSent(), socket.isOver);
  }

  function leave(each: Played): void {
    const { socket, client } = each;
    each.isGone = true;
    client.end();
    if (oneIn(3)) socket.halfClose();
    else socket.reset();
  }

  /** Completes all requests, and waits for the answers. */
  async function finish(): Promise<void> {
    for (const { socket } of played) socket.isPeerReading = true;
    let quiet = 0;
    let waited = 0;
    for (let turn = 0; turn < maxTurns; turn++) {
      let isQuiet = true;
      for (const { socket, client, isGone } of played) {
        const heard = socket.takeSent();
        client.hear(heard, socket.isOver);
        const rest = isGone || socket.isOver ? none : client.finish();
        if (rest.length > 0) socket.arrive(rest);
        if (heard.length + rest.length > 0) isQuiet = false;
      }
      await setImmediate();
      if (played.every(hasAll)) return;
      quiet = isQuiet ? quiet + 1 : 0;
      if (quiet < quietTurns) continue;
      if (waited > maxWaitMs) return;
      quiet = 0;
      waited += 1000;
      pass(1000);
    }
    assert.fail('the session does not end');
  }

  function hasAll({ client, socket }: Played): boolean {
    return socket.isOver || client.exchanges.every(isSettled);
  }

  function check({ socket, client, isGone }: Played): void {
    client.hear(socket.takeSent(), socket.isOver);
    const serious = seriousOf(socket);
    const isCalm = !isGone && client.isStrict && !isHurried;
    if (isCalm) assert.deepEqual(bytes < plenty ? [] : serious, []);
    const mustAnswer = isCalm && serious.length === 0;
    if (mustAnswer) assert.ok(!client.isTruncated, 'the answer is cut off');
    for (const exchange of client.exchanges) {
      const { request } = exchange;
      if (mustAnswer) assert.ok(isSettled(exchange), `no answer to ${shownOf(request)}`);
      if (exchange.answeredAt !== undefined && !exchange.isTainted) checkCall(exchange);
    }
  }

  function checkCall({ request, told, beganAt, answeredAt = now, isCut }: Exchange): void {
    const { id, kind, quality, timeout } = request;
    const lines = logged.filter(({ request_id }) => request_id === id);
    const about = `${shownOf(request)}: ${JSON.stringify(lines)}`;
    assert.equal(lines.length, told === undefined ? 0 : 1, about);
    const [line] = lines;
    if (!line) return;
    if (!isCut) assert.equal(line['rpc.status_code'], told, about);
    const protocol = kind.startsWith('grpc-web') ? 'grpc-web' : 'connect';
    assert.equal(line.protocol, kind === 'grpc' ? undefined : protocol, about);
    // In a stream, it is also the status of violations of the protocol.
    const isViolation = kind !== 'unary' && quality !== 'valid' && line.err === undefined;
    if ((told === 'INTERNAL' || told === 'UNKNOWN') && !isViolation) {
      assert.equal(line.err?.message, 'a fault', about);
    }
    if (quality === 'broken') assert.notEqual(told, 'OK', about);
    if (quality === 'valid') {
      assert.ok(told !== 'INVALID_ARGUMENT' && told !== 'UNIMPLEMENTED', about);
      if (bytes === plenty) assert.notEqual(told, 'RESOURCE_EXHAUSTED', about);
    }
    if (told === 'DEADLINE_EXCEEDED') {
      const own = timeout ?? deadlines.fallback;
      assert.ok(answeredAt - beganAt >= Math.min(own, deadlines.max) - 1, about);
    }
  }

  /** What is left of the session, by name. */
  function left(): Record<string, number> {
    const { openConnections, openStreams, bufferedBytes, waitingMessages } = http2;
    const missing = Math.max(0, sum(calls) - logged.length);
    const open = { openConnections, openStreams, bufferedBytes, waitingMessages };
    return { ...open, calls: openCalls.size, served, missing };
  }

  function checkRest(): void {
    assert.deepEqual([openCalls.size, openCalls.inChain, openCalls.limited], [0, 0, 0]);
    assert.equal(logged.length, sum(calls), 'lines in the log');
    for (const protocol of ['grpc', 'grpc-web', 'connect'] as const) {
      assert.equal(counts.protocols[protocol] - before[protocol], calls[protocol], protocol);
    }
    for (const { request_id: id } of logged) {
      const [, from] = /^\d+\.(\d+)$/.exec(id) ?? [];
      // An invalid byte may have changed an ID to one that was not played.
      const isLate = from !== undefined && Number(from) >= seed && Number(from) < session;
      assert.ok(!isLate, `a late call, ${id}`);
    }
    for (const account of accounts) {
      const { bytes, calls, streams } = account;
      assert.deepEqual({ bytes, calls, streams }, { bytes: 0, calls: 0, streams: 0 });
    }
    for (const [name, held] of Object.entries(http2.heldBytes)) assert.equal(held, 0, name);
    assert.deepEqual(faults, []);
    // That of all deadlines stays.
    assert.ok(timers.size <= 1, `${timers.size} timers`);
  }
}

/** The incidents that end a connection. */
function seriousOf(socket: MemorySocket): Incident[] {
  const own = incidents.get(socket) ?? [];
  return own.filter(({ reason }) => reason !== 'http_405' && reason !== 'http_415');
}

const none = Buffer.alloc(0);

function isSettled({ isComplete, isCut, answeredAt }: Exchange): boolean {
  return !isComplete || isCut || answeredAt !== undefined;
}

function sum(values: Record<string, number>): number {
  return Object.values(values).reduce((all, each) => all + each, 0);
}

/** Lets the server handle what has arrived in each second. */
async function passInTurns(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 1000) {
    pass(Math.min(left, 1000));
    await setImmediate();
  }
}

function pass(ms: number): void {
  // In steps, so that each tick of the server finds the time that it expects.
  for (let left = ms; left > 0; left -= 1000) {
    const step = Math.min(left, 1000);
    now += step;
    mock.timers.tick(step);
  }
}

test('the server survives random web requests, and keeps nothing of them', async () => {
  let before = 0;
  for (let played = 0; played < sessions; played++) {
    if (played === warmUp) before = await usedMemory();
    session = seed + played;
    faults.length = 0;
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
