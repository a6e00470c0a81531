import type { Socket } from 'node:net';
import { Accounts, type HeldBytes } from '../account.ts';
import { ownerOf, type Place, Places } from './places.ts';
import type { SocketTimes } from './connection_times.ts';
import { type Given, withDefaults } from './defaults.ts';
import type { Incident } from '../http2/incident.ts';
import { defaultLimits, type Http2Limits } from '../http2/limits.ts';
import { bindSocket, type SocketConnection } from './socket.ts';
import type { Serve } from '../http2/stream.ts';
import { TokenBucket } from '../http2/token_bucket.ts';
import { Scheduler } from '../scheduler.ts';

/** What a server bears of all its peers together. */
export interface Http2ServerOptions {
  /** Serves a stream of a connection that attach() was given. */
  serve: (...about: [...Parameters<Serve>, socket: Socket]) => ReturnType<Serve>;
  limits?: Given<Http2Limits>;
  times?: Given<SocketTimes>;
  /** Beyond it a connection that is idle goes for one that comes, or that one is closed; see mayGo(). */
  maxConnections?: number | undefined;
  /** Streams that all connections together may have open; more are refused, but for the first two of a connection. */
  maxStreams?: number | undefined;
  /** Calls that all connections together may have open; see Stream.countCall(). */
  maxCalls?: number | undefined;
  /**
   * Bytes that all connections together may keep. Beyond it those that have more than their share stop reading, and
   * writers wait; a second later what makes no progress is given up with ENHANCE_YOUR_CALM.
   */
  maxBufferedBytes?: number | undefined;
  /** Told what goes wrong with a connection. */
  report?: ((incident: Incident, socket: Socket) => void) | undefined;
  /** What is said to a peer that speaks HTTP/1.1: all of a response. */
  http1Response?: ((socket: Socket) => Buffer) | undefined;
  /** Milliseconds. */
  now?: () => number;
  /** From 0 to 1, for each connection. */
  random?: () => number;
  /** Shares out the work of all connections. */
  scheduler?: Scheduler;
}

/** The connections of one server, whatever listens for them. */
export interface Http2Server {
  /** Takes a connected socket over: from a `net` server, or from a `tls` one with ALPN `h2`. */
  attach(socket: Socket): void;
  readonly openConnections: number;
  readonly openStreams: number;
  /** Bytes that all connections together keep, of what is limited. */
  readonly bufferedBytes: number;
  /** What they hold, by what it is for. */
  readonly heldBytes: HeldBytes;
  /** Says GOAWAY on every connection that there is now; new ones are served as before. */
  retireConnections(): void;
  /** Says GOAWAY on every connection, now and from now on; resolves when the last stream has ended. */
  shutdown(): Promise<void>;
  /** Drops every connection. */
  destroy(): void;
}

const defaultTimes: SocketTimes = {
  preface: 10_000,
  idle: 300_000,
  keepalive: 60_000,
  keepaliveTimeout: 20_000,
  age: Number.POSITIVE_INFINITY,
  ageGrace: 20_000,
};
const defaultMaxConnections = 15_000;
/** What is garbage and not yet collected comes on top: a pod of 256 MiB should have half of it. */
const defaultMaxBufferedBytes = 64 * 1024 * 1024;
const tickMs = 1000;
/** What has had a call in so many milliseconds is likely to have another, and only goes to even out. */
const leastIdleMs = 2000;
/** So many a second go for others that have no fewer, or a tenth of all; twice as many at once. */
const mostSwaps = 100;
/** The same of those that have said no more than a greeting: to refuse another costs a fifth of it. */
const mostGreetings = 1000;

/** Makes a server that listens on nothing itself. */
export function createHttp2Server({
  serve,
  report = () => {},
  http1Response,
  limits,
  times,
  maxConnections = defaultMaxConnections,
  maxStreams = Number.POSITIVE_INFINITY,
  maxCalls = Number.POSITIVE_INFINITY,
  maxBufferedBytes = defaultMaxBufferedBytes,
  now = performance.now.bind(performance),
  random = Math.random,
  scheduler = new Scheduler(maxBufferedBytes / 2),
}: Http2ServerOptions): Http2Server {
  const places = new Places<SocketConnection>();
  const swaps = new TokenBucket(Math.min(mostSwaps, Math.max(1, maxConnections / 10)), now);
  const greetings = new TokenBucket(mostGreetings, now);
  const http2Limits = withDefaults(defaultLimits, limits);
  const accounts = new Accounts({
    bytes: maxBufferedBytes,
    calls: maxCalls,
    streams: maxStreams,
    window: http2Limits.initialWindowSize,
    later: (task) => scheduler.atEnd(task),
  });
  const deps = {
    serve,
    now,
    accounts,
    scheduler,
    limits: http2Limits,
    times: withDefaults(defaultTimes, times),
    random,
  };
  const eviction: Incident = {
    reason: 'evicted',
    message: `Cannot keep an idle connection: there are ${maxConnections}, and another one comes`,
  };
  let ticker: NodeJS.Timeout | undefined;
  let leaving: PromiseWithResolvers<void> | undefined;

  return {
    attach,
    get openConnections() {
      return places.size;
    },
    get openStreams() {
      return accounts.used.streams;
    },
    get bufferedBytes() {
      return accounts.used.bytes;
    },
    get heldBytes() {
      return accounts.heldBytes;
    },
    retireConnections() {
      for (const connection of places.all()) connection.shutdown();
    },
    shutdown() {
      leaving ??= Promise.withResolvers();
      for (const connection of places.all()) connection.shutdown();
      if (places.size === 0) leaving.resolve();
      return leaving.promise;
    },
    destroy() {
      for (const connection of places.all()) connection.destroy();
    },
  };

  function attach(socket: Socket): void {
    const owner = ownerOf(socket.remoteAddress);
    if (places.size >= maxConnections && !makeRoom(owner)) {
      report(
        { reason: 'refused', message: `Cannot take more than ${maxConnections} connections` },
        socket,
      );
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const connection = bindSocket(socket, {
      ...deps,
      report: (incident) => report(incident, socket),
      http1Response: http1Response && (() => http1Response(socket)),
      owner: sharerOf(owner),
      onIdle: (isIdle) => (isIdle ? places.wait(place) : places.work(place)),
      onClose: () => leave(place),
    });
    const place = places.enter(connection, owner);
    if (leaving) connection.shutdown();
    // One timer for all connections.
    ticker ??= setInterval(tick, tickMs).unref();
  }

  function makeRoom(owner: string): boolean {
    const place = places.find(owner, mayGo);
    if (!place) return false;
    // At once, whether or not its peer takes our last words.
    places.leave(place);
    place.holder.evict(eviction);
    return true;
  }

  /**
   * Whoever has fewer connections gets one of whoever has at least two more, whatever that one does about it.
   * Any other change makes nothing fairer, and clients that are too many would take each other's places in
   * turn, each coming back as soon as it had to go. So it is bounded, and those that are refused wait longer
   * each time. Who has only said its greeting has less to lose, and may be there to keep others out.
   */
  function mayGo({ hasAnswered, usedAgo }: SocketConnection, evens: boolean): boolean {
    if (evens) return true;
    return hasAnswered ? usedAgo >= leastIdleMs && swaps.take() : greetings.take();
  }

  function leave(place: Place<SocketConnection>): void {
    places.leave(place);
    if (places.size > 0) return;
    clearInterval(ticker);
    ticker = undefined;
    leaving?.resolve();
  }

  function tick(): void {
    for (const connection of places.all()) connection.tick();
    accounts.tick(scheduler.turn);
    // What comes from now on is of another turn.
    scheduler.schedule();
  }
}

/** Who shares with others of its address: undefined where all come from this host, and each connection is a peer. */
function sharerOf(owner: string): string | undefined {
  return owner === 'unix' || owner === '0:0:0:0::/64' || owner.startsWith('127.')
    ? undefined
    : owner;
}
