import { Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { callCost } from '../../src/engine/grpc/router.ts';
import { serverOn } from '../../src/engine/grpc/server.ts';
import { http1Response } from '../../src/engine/grpc/http1_response.ts';
import {
  Flag,
  type Frame,
  FrameType,
  preface,
  FrameReader,
} from '../../src/engine/http2/frames.ts';
import type { Http2Server } from '../../src/engine/net/connections.ts';
import { createCallCounts } from '../../src/observability/call_counts.ts';
import { buildServer } from '../../src/transport/server.ts';
import { exempt, methods, serviceNames, servicesOf } from '../support/harness.ts';
import { usedMemory } from '../support/memory.ts';
import { sum } from './honest.ts';
import { MeteredScheduler } from '../simulation/turns.ts';
import { Wire } from '../simulation/wire.ts';
import { createHttp2Server, createRouter } from '../support/engine.ts';

/** A peer of a metered server, without a network. */
export interface Peer {
  /** Bytes that the server has sent to it. */
  readonly heard: number;
  /** Calls that the server has ended or reset. */
  readonly ended: number;
  /** True once the server has closed the connection. */
  readonly isOver: boolean;
  send(bytes: Buffer): void;
  leave(): void;
}

/** The whole server in this process, with its chain and services, and a count of its work. */
export interface Metered extends AsyncDisposable {
  /** On loopback. */
  port: number;
  scheduler: MeteredScheduler;
  http2: Http2Server;
  /** The paths of all methods of the product. */
  methods: readonly string[];
  connect(): Peer;
}

/** The defaults of the program. */
const limits = { maxInFlight: 10_000, maxBufferedBytes: 64 * 1024 * 1024 };
const maxMessageSize = 4 * 1024 * 1024;
/** The size of chunks of input, as read from a socket. */
const chunk = 64 * 1024;

/** Serves until the end of the test: use with `await using`. */
export async function serveMetered(): Promise<Metered> {
  const scheduler = new MeteredScheduler();
  const made = Promise.withResolvers<Http2Server>();
  const engine = serverOn((calls) => {
    const router = createRouter({ calls, maxMessageSize, unlimited: exempt.unlimited });
    const http2 = createHttp2Server({
      scheduler,
      serve: router.serve,
      limits: { streamCost: callCost, maxConcurrentStreams: 1000 },
      http1Response,
      maxBufferedBytes: limits.maxBufferedBytes,
      maxCalls: limits.maxInFlight,
      maxStreams: 1.1 * limits.maxInFlight + 100,
    });
    made.resolve(http2);
    return { router, http2, maxHandshakes: 0 };
  });
  const nowhere = new Writable({ write: (_bytes, _encoding, done) => done() });
  const server = buildServer(engine, {
    log: pino({ base: null }, nowhere),
    counts: createCallCounts(methods),
    deadlines: { max: 60_000, fallback: undefined },
    maxInFlight: limits.maxInFlight,
    ...(await servicesOf({
      maxMessageSize,
      freeBytes: () => limits.maxBufferedBytes - (engine.counts.bufferedBytes ?? 0),
    })),
  });
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  const http2 = await made.promise;
  return {
    port: port ?? 0,
    scheduler,
    http2,
    methods: methods.flatMap(({ service, path }) => (serviceNames.includes(service) ? path : [])),
    connect: () => connectTo(http2),
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
      await server.shutdown();
    },
  };
}

/** The cost of an input, including that of closing its connections. */
export interface Costs {
  /** Units of the scheduler. */
  work: number;
  /** Microseconds of the main thread. */
  cpu: number;
  /** The maximum of a turn. */
  longest: number;
  /** Bytes sent to the peer. */
  out: number;
  /** The growth of memory in bytes, and of the charges. */
  held: number;
  charged: number;
  /** Calls that have ended. */
  ended: number;
}

/** What is sent on each connection, and how many of its calls end. */
export interface Sent {
  hello: Buffer;
  bytes: Buffer;
  calls: number;
  /** The number of connections that send it at once; 1 by default. */
  connections?: number;
  /** Measures memory, which takes longer than the rest. */
  weighs?: boolean;
  /** True if all of these calls end, so that no other sign of the end is needed. */
  ends?: boolean;
}

/**
 * The number of turns, and milliseconds, without work after which the server is idle: other threads may decompress.
 */
const idleTurns = 20;
const idleMs = 50;
const maxMs = 3000;
const maxEndMs = 30_000;

/** Sends an input to a server, waits until it is processed, and then closes the connections. */
export async function costsOf(server: Metered, sent: Sent): Promise<Costs> {
  const { http2, scheduler } = server;
  scheduler.works = [];
  const before = sent.weighs ? await usedMemory() : 0;
  const peers = Array.from({ length: sent.connections ?? 1 }, () => server.connect());
  for (const peer of peers) peer.send(sent.hello);
  await eventually(() => peers.every(({ heard }) => heard > 0));
  const heard = () => sum(peers.map((peer) => peer.heard));
  const [work, heardBefore] = [scheduler.total, heard()];
  const isDone = () => peers.every(({ ended, isOver }) => ended >= sent.calls || isOver);
  for (const peer of peers) peer.send(sent.bytes);
  const sending = await settled({ ...sent, isDone, progress: () => scheduler.total + heard() });
  const held = sent.weighs ? (await usedMemory()) - before : 0;
  const charged = http2.bufferedBytes;
  const out = heard() - heardBefore;
  const ended = sum(peers.map((peer) => peer.ended));
  for (const peer of peers) peer.leave();
  const isOver = () => http2.openConnections === 0;
  const leaving = await settled({ ends: false, isDone: isOver, progress: () => scheduler.total });
  if (!isOver()) throw new Error('Cannot wait longer until all connections are closed');
  return {
    work: scheduler.total - work,
    cpu: sending.cpu + leaving.cpu,
    longest: Math.max(sending.longest, leaving.longest),
    out,
    held,
    charged,
    ended,
  };
}

interface Settling {
  isDone: () => boolean;
  /** A number that changes while there is progress. */
  progress: () => number;
  ends?: boolean;
}

/**
 * Waits until there is no more progress; returns the CPU time of the main thread until then, and its maximum per
 * turn.
 */
async function settled({ isDone, progress, ends = false }: Settling) {
  const began = cpuTime();
  let [last, lastCpu, since, turns] = [-1, began, performance.now(), 0];
  let [longest, turnBegan] = [0, began];
  const late = since + (ends ? maxEndMs : maxMs);
  for (; !isDone() || turns < 3; turns++) {
    await setImmediate();
    const [now, cpu] = [performance.now(), cpuTime()];
    longest = Math.max(longest, cpu - turnBegan);
    turnBegan = cpu;
    if (progress() !== last) [last, lastCpu, since, turns] = [progress(), cpu, now, 0];
    else if (!ends && turns > idleTurns && now > since + idleMs) break;
    if (now > late) break;
  }
  return { cpu: lastCpu - began, longest };
}

/** Waits for what happens within a few turns of the event loop. */
async function eventually(condition: () => boolean): Promise<void> {
  for (let left = 1000; !condition(); left--) {
    if (left === 0) throw new Error(`Cannot wait longer until ${condition.toString()}`);
    await setImmediate();
  }
}

function cpuTime(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

function connectTo(http2: Http2Server): Peer {
  let heard = 0;
  let ended = 0;
  const reader = new FrameReader(({ type, flags }: Frame) => {
    const canEnd = type === FrameType.DATA || type === FrameType.HEADERS;
    const isEnd = canEnd && (flags & Flag.END_STREAM) !== 0;
    if (isEnd || type === FrameType.RST_STREAM) ended++;
  });
  reader.read(preface);
  const wire = new Wire({
    written(bytes) {
      heard += bytes.length;
      reader.read(bytes);
    },
    finished: () => {},
  });
  http2.attach(wire);
  return {
    get heard() {
      return heard;
    },
    get ended() {
      return ended;
    },
    get isOver() {
      return wire.destroyed || wire.writableEnded;
    },
    send(bytes) {
      for (let at = 0; at < bytes.length; at += chunk) wire.send(bytes.subarray(at, at + chunk));
    },
    leave: () => void wire.destroy(),
  };
}
