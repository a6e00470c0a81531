import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { OpenCalls } from '../../src/engine/grpc/open_calls.ts';
import { preface } from '../../src/engine/http2/frames.ts';
import type { Http2Limits } from '../../src/engine/http2/limits.ts';
import { type RequestHeaders, valueOf } from '../../src/engine/http2/request_headers.ts';
import type { Http2Server } from '../../src/engine/net/connections.ts';
import type { Stream, StreamEvents } from '../../src/engine/http2/stream.ts';
import { createIdleShare } from '../support/http2_fuzz_client.ts';
import { addMethods, type Tally } from './service.ts';
import { connectionAccepted } from '../../src/engine/scheduler.ts';
import { createTurns, type Turns } from './turns.ts';
import { View } from './view.ts';
import { Wire } from './wire.ts';
import { createHttp2Server, createRouter, defaultLimits } from '../support/engine.ts';

/** The name of a call whose headers have none. */
const nameless = 'null';

/** The interval of the server's ticks, in milliseconds. */
const tickMs = 1000;
/** More chunks take longer, and test nothing else. */
const maxChunks = 200;

/** Small limits, so that they are reached. */
export const limits: Http2Limits = {
  ...defaultLimits,
  maxConcurrentStreams: 20,
  maxHeaderListSize: 8 * 1024,
  maxHeaderBlockSize: 64 * 1024,
  streamCost: 2560,
  initialWindowSize: 40_000,
  streamWindowSize: 64 * 1024,
  connectionWindowSize: 256 * 1024,
  maxUnreadBytes: 128 * 1024,
};
/** The maximum message size in bytes. */
export const maxMessageSize = 100_000;
/** The memory that a large message is admitted with, as a multiple of its size. */
export const timesOfMessage = 3;

/** A connection, from both ends. */
export interface Link {
  readonly name: string;
  readonly wire: Wire;
  readonly view: View;
  /** What the connection holds without streams; undefined after input that is not HTTP/2. */
  readonly idleBytes: number | undefined;
  /** Sends bytes, in chunks of this size. */
  send(bytes: Buffer, chunk?: number): void;
  /** The server has ended its side. */
  isFinished: boolean;
  /** The server has evicted it: its socket is closed within two turns. */
  isGivenUp: boolean;
}

/** A stream that the server serves or has served. */
export interface Served extends Tally {
  readonly name: string;
  readonly link: Link;
  readonly stream: Stream;
  readonly request: RequestHeaders;
  /** Bytes of its body that its handler has got. */
  received: number;
  /** The final events that have occurred. */
  ends: string[];
}

/** True if the request's messages are not compressed. */
export function isPlain({ request }: Served): boolean {
  return !request.fields.includes('grpc-encoding');
}

/** A server and its peers, without a network or a clock. */
export interface World {
  readonly budget: number;
  readonly http2: Http2Server;
  /** The open calls. */
  readonly calls: OpenCalls;
  readonly turns: Turns;
  readonly links: readonly Link[];
  readonly served: readonly Served[];
  /** Broken rules. */
  readonly violations: string[];
  /** True if a large message does not fit, or did not. */
  readonly isFull: boolean;
  wasFull: boolean;
  connect(keepsBodies?: boolean): Link;
  /** Lets all calls of Hold continue. */
  open(): void;
  /** Advances the clock by milliseconds. */
  pass(ms: number): void;
  /** Runs everything that needs no other turn. */
  settle(): Promise<void>;
}

interface WorldOptions {
  /** The server's byte limit. */
  budget: number;
  /** Advances the timers by milliseconds. */
  tick: (ms: number) => void;
}

/** Creates a server without listeners, and no peers. */
export function createWorld({ budget, tick }: WorldOptions): World {
  const turns = createTurns();
  const links: Link[] = [];
  const served: Served[] = [];
  const byName = new Map<string, Served>();
  const violations: string[] = [];
  let now = 0;
  let gate = Promise.withResolvers<void>();
  const calls = new OpenCalls();
  const router = createRouter({ calls, maxMessageSize, now: () => now });
  const http2 = createHttp2Server({
    serve,
    report({ reason }, socket) {
      if (reason !== 'goaway_enhance_your_calm') return;
      linkOf(socket).isGivenUp = true;
    },
    limits,
    maxBufferedBytes: budget,
    times: { age: 60_000, ageGrace: 20_000, keepalive: 20_000, keepaliveTimeout: 10_000 },
    scheduler: turns.scheduler,
    now: () => now,
    random: () => 0,
  });
  addMethods(router, { tallyOf, gate: () => gate.promise });

  const world: World = {
    budget,
    http2,
    calls,
    turns,
    links,
    served,
    violations,
    get isFull() {
      return budget - http2.bufferedBytes < timesOfMessage * maxMessageSize;
    },
    wasFull: false,
    connect(keepsBodies = false) {
      const link = createLink(`${links.length}`, keepsBodies);
      links.push(link);
      connectionAccepted();
      http2.attach(link.wire);
      return link;
    },
    open() {
      gate.resolve();
      gate = Promise.withResolvers();
    },
    pass(ms) {
      look();
      now += ms;
      tick(ms);
      if (ms >= tickMs) for (const { wire } of links) wire.isStale = false;
    },
    async settle() {
      // A call may need a few turns of the event loop: to end its request, or to be cut.
      for (let left = 3; left > 0; left--) await setImmediate();
      // What was begun for a stream that is closed by now goes on as well.
      const { messages = 0 } = http2.heldBytes;
      const mayInflate = ({ stream }: Served) => !stream.closed || messages > 0;
      if (served.some((each) => !isPlain(each) && mayInflate(each))) await inflated();
      look();
    },
  };
  return world;

  function look(): void {
    world.wasFull ||= world.isFull;
  }

  function tallyOf(name: string): Tally {
    const tally = byName.get(name);
    if (!tally) throw new Error(`Cannot find the call "${name}"`);
    return tally;
  }

  function serve(stream: Stream, request: RequestHeaders, socket: Socket): StreamEvents {
    const name = valueOf(request.fields, 'x-call') ?? nameless;
    const link = linkOf(socket);
    const counts = {
      messages: 0,
      taken: 0,
      largest: 0,
      last: 0,
      given: 0,
      givenBytes: 0,
      retained: 0,
    };
    const begun = { name, link, stream, request, isReading: false, received: 0, ...counts };
    const each: Served = { ...begun, ends: [] };
    served.push(each);
    byName.set(name, each);
    look();
    return told(each, router.serve(stream, request, socket));
  }

  function linkOf(socket: Socket): Link {
    const link = links.find(({ wire }) => wire === socket);
    if (!link) throw new Error('Cannot find a connection by its socket');
    return link;
  }

  function told(each: Served, events: StreamEvents): StreamEvents {
    const end = (how: string) => {
      each.ends.push(how);
      if (each.ends.length > 1)
        violations.push(`call ${each.name} has ended: ${each.ends.join(', ')}`);
    };
    return {
      data(bytes) {
        if (each.ends.length > 0) violations.push(`call ${each.name} gets DATA after its end`);
        each.received += bytes.length;
        events.data(bytes);
      },
      end: (...about) => events.end(...about),
      reset(code) {
        end('reset');
        events.reset(code);
      },
      failed(error) {
        end('failed');
        events.failed(error);
      },
      expire: () => events.expire(),
      drain: () => events.drain(),
      sent() {
        end('sent');
        events.sent();
      },
    };
  }

  function createLink(name: string, keepsBodies: boolean): Link {
    const view = new View({
      limits,
      keepsBodies,
      onViolation: (rule) => violations.push(`connection ${name}: ${rule}`),
    });
    let share: ReturnType<typeof createIdleShare> | undefined = createIdleShare(limits);
    const wire = new Wire({
      written: (bytes) => view.hears(bytes),
      finished: () => (link.isFinished = true),
    });
    let greeting = preface.length;
    const link: Link = {
      name,
      wire,
      view,
      get idleBytes() {
        return share?.heldBytes;
      },
      isFinished: false,
      isGivenUp: false,
      send(bytes, chunk = bytes.length) {
        view.says(bytes.subarray(greeting));
        greeting -= Math.min(greeting, bytes.length);
        const length = Math.max(chunk, Math.ceil(bytes.length / maxChunks));
        for (let at = 0; at < bytes.length; at += length) {
          const part = Buffer.from(bytes.subarray(at, at + length));
          count(part);
          wire.send(part);
        }
      },
    };
    return link;

    /** The buffer of an incomplete frame grows with the chunks in which it arrives. */
    function count(part: Buffer): void {
      try {
        share?.read(part);
      } catch {
        share = undefined;
      }
    }
  }
}

/**
 * Waits for other threads: they process their jobs in order, apart from concurrent ones, so when this job is done,
 * the earlier ones are.
 */
async function inflated(): Promise<void> {
  for (let left = 8; left > 0; left--) await promisify(deflate)(Buffer.alloc(1));
  await setImmediate();
}
