import type { Socket } from 'node:net';
import { defaultLimits, type Http2Limits } from './limits.ts';
import { bindSocket, type SocketConnection, type SocketTimes } from './socket.ts';
import type { Serve } from './stream.ts';

/** What a server bears of all its peers together. */
export interface Http2ServerOptions {
  serve: Serve;
  limits?: Partial<Http2Limits>;
  times?: Partial<SocketTimes>;
  /** Connections beyond it are closed as they come. */
  maxConnections?: number;
  /** Milliseconds. */
  now?: () => number;
}

/** The connections of one server, whatever listens for them. */
export interface Http2Server {
  /** Takes a connected socket over: from a `net` server, or from a `tls` one with ALPN `h2`. */
  attach(socket: Socket): void;
  readonly openConnections: number;
  readonly openStreams: number;
  /** Says on every connection that it leaves; resolves when the last stream has ended. */
  shutdown(): Promise<void>;
  /** Drops every connection. */
  destroy(): void;
}

const defaultTimes: SocketTimes = {
  preface: 10_000,
  idle: 300_000,
  keepalive: 60_000,
  keepaliveTimeout: 20_000,
};
const defaultMaxConnections = 15_000;
const tickMs = 1000;

/** Makes a server that listens on nothing itself. */
export function createHttp2Server({
  serve,
  limits,
  times,
  maxConnections = defaultMaxConnections,
  now = performance.now.bind(performance),
}: Http2ServerOptions): Http2Server {
  const connections = new Set<SocketConnection>();
  const deps = {
    serve,
    now,
    limits: { ...defaultLimits, ...limits },
    times: { ...defaultTimes, ...times },
  };
  let ticker: NodeJS.Timeout | undefined;
  let leaving: PromiseWithResolvers<void> | undefined;

  return {
    attach,
    get openConnections() {
      return connections.size;
    },
    get openStreams() {
      let sum = 0;
      for (const { openStreams } of connections) sum += openStreams;
      return sum;
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
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const connection = bindSocket(socket, { ...deps, onClose: () => onClose(connection) });
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
  }
}
