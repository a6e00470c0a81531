import type { Socket } from 'node:net';
import { ByteBudget } from './byte_budget.ts';
import type { SocketTimes } from './connection_times.ts';
import { type Given, withDefaults } from './defaults.ts';
import type { Incident } from './incident.ts';
import { defaultLimits, type Http2Limits } from './limits.ts';
import { bindSocket, type SocketConnection } from './socket.ts';
import type { Serve } from './stream.ts';
import { Turn } from './turn.ts';

/** What a server bears of all its peers together. */
export interface Http2ServerOptions {
  /** Serves a stream of a connection that attach() was given. */
  serve: (...about: [...Parameters<Serve>, socket: Socket]) => ReturnType<Serve>;
  limits?: Given<Http2Limits>;
  times?: Given<SocketTimes>;
  /** Connections beyond it are closed as they come. */
  maxConnections?: number | undefined;
  /**
   * Bytes that all connections together may keep. Beyond it they stop reading, and writers wait; a
   * second later those who hold most are given up with ENHANCE_YOUR_CALM.
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
}

/** The connections of one server, whatever listens for them. */
export interface Http2Server {
  /** Takes a connected socket over: from a `net` server, or from a `tls` one with ALPN `h2`. */
  attach(socket: Socket): void;
  readonly maxConnections: number;
  readonly openConnections: number;
  readonly openStreams: number;
  /** Bytes that all connections together keep. */
  readonly bufferedBytes: number;
  /** Whether those are too many: what comes now had better be refused. */
  readonly isOverloaded: boolean;
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

/** Makes a server that listens on nothing itself. */
export function createHttp2Server({
  serve,
  report = () => {},
  http1Response,
  limits,
  times,
  maxConnections = defaultMaxConnections,
  maxBufferedBytes = defaultMaxBufferedBytes,
  now = performance.now.bind(performance),
  random = Math.random,
}: Http2ServerOptions): Http2Server {
  const connections = new Set<SocketConnection>();
  const budget = new ByteBudget(maxBufferedBytes);
  const deps = {
    serve,
    now,
    budget,
    turn: new Turn(),
    limits: withDefaults(defaultLimits, limits),
    times: withDefaults(defaultTimes, times),
    random,
  };
  let ticker: NodeJS.Timeout | undefined;
  let leaving: PromiseWithResolvers<void> | undefined;
  let wasOverloaded = false;

  return {
    attach,
    maxConnections,
    get openConnections() {
      return connections.size;
    },
    get openStreams() {
      let sum = 0;
      for (const { openStreams } of connections) sum += openStreams;
      return sum;
    },
    get bufferedBytes() {
      return budget.used;
    },
    get isOverloaded() {
      return budget.excess > 0;
    },
    retireConnections() {
      for (const connection of connections) connection.shutdown();
    },
    shutdown() {
      leaving ??= Promise.withResolvers();
      for (const connection of connections) connection.shutdown();
      if (connections.size === 0) leaving.resolve();
      return leaving.promise;
    },
    destroy() {
      for (const connection of connections) connection.destroy();
    },
  };

  function attach(socket: Socket): void {
    if (connections.size >= maxConnections) {
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
      onClose: () => onClose(connection),
    });
    connections.add(connection);
    if (leaving) connection.shutdown();
    // One timer for all connections.
    ticker ??= setInterval(tick, tickMs).unref();
  }

  function onClose(connection: SocketConnection): void {
    connections.delete(connection);
    if (connections.size > 0) return;
    clearInterval(ticker);
    ticker = undefined;
    leaving?.resolve();
  }

  function tick(): void {
    for (const connection of connections) connection.tick();
    const isOverloaded = budget.excess > 0;
    if (isOverloaded && wasOverloaded) shed();
    wasOverloaded = isOverloaded;
  }

  function shed(): void {
    let left = budget.excess;
    for (const connection of [...connections].toSorted((a, b) => b.heldBytes - a.heldBytes)) {
      if (left <= 0) return;
      const held = connection.heldBytes;
      connection.shed(Math.min(left, held));
      left -= held;
    }
  }
}
