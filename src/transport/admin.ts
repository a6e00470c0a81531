import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { peerName, Listeners, ownerOf, type Place, Places } from '../engine/index.ts';
import type { ConnectionErrors } from '../observability/connection_errors.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Engine } from './engine_types.ts';

/** Dependencies of the admin port. */
interface AdminDeps {
  log: Pick<Logger, 'error'>;
  /** True if new calls are accepted. */
  isReady: () => boolean;
  /** Called at the first scrape. */
  loadMetrics: () => Promise<Metrics>;
  /** Called for connections that are refused, or closed in favour of others. */
  onIncident?: ConnectionErrors['record'];
  times?: Partial<AdminTimes>;
}

interface Peer {
  socket: Socket;
  /** Idle until its request arrives, and after that it has no other; see Places. */
  isIdle: true;
}

interface AdminTimes {
  /** The maximum duration of a connection in milliseconds: one request and its response. */
  connectionTimeoutMs: number;
  /** The time for pending responses when the port is closed, in milliseconds. */
  drainTimeoutMs: number;
}

const defaultTimes: AdminTimes = { connectionTimeoutMs: 10_000, drainTimeoutMs: 250 };

/**
 * The maximum number of connections. Above it, a connection without a request is closed in favour of a new one, or
 * the new one is refused.
 */
const maxConnections = 50;
const maxHeaderSize = 8 * 1024;

/** The admin port: HTTP/1.1 with /metrics, /livez and /readyz. */
export interface Admin extends Pick<Engine, 'forceShutdown'> {
  /** Listens on an address; returns the port, if it has one. Throws Node's own errors. */
  listen: (...address: Parameters<Engine['listen']>) => Promise<number | undefined>;
  /** Sends pending responses, then closes all connections. */
  close(): Promise<void>;
}

/**
 * Creates the admin port, which does not listen yet. Every connection has one request and a time limit, whatever its
 * peer does. node:http is loaded with the first connection, so that the server starts faster.
 */
export function createAdmin({
  log,
  isReady,
  loadMetrics,
  onIncident = () => {},
  times,
}: AdminDeps): Admin {
  const { connectionTimeoutMs, drainTimeoutMs } = { ...defaultTimes, ...times };
  const places = new Places<Peer>();
  const placeOf = new WeakMap<Socket, Place<Peer>>();
  const listeners = new Listeners({ onSocket: take, maxHandshakes: 0 });
  const pages = new Map<string, (response: ServerResponse) => void | Promise<void>>([
    ['/livez', (response) => reply(response, { status: 200, body: 'ok\n' })],
    ['/readyz', sendReady],
    ['/metrics', sendMetrics],
  ]);
  let http: Promise<Server> | undefined;
  let metrics: Promise<Metrics> | undefined;
  let reading: Promise<string> | undefined;
  let noneLeft: (() => void) | undefined;

  return {
    listen: (address) => listeners.listen(address),
    async close() {
      listeners.close();
      if (places.size === 0) return;
      const timer = setTimeout(cut, drainTimeoutMs);
      await new Promise<void>((resolve) => (noneLeft = resolve));
      clearTimeout(timer);
    },
    forceShutdown() {
      listeners.close();
      cut();
    },
  };

  function take(socket: Socket): void {
    const owner = ownerOf(socket.remoteAddress);
    if (places.size >= maxConnections && !evictFor(owner)) {
      const message = `Cannot accept more than ${maxConnections} connections to the admin port`;
      onIncident({ reason: 'refused', message, peer: peerName(socket) });
      socket.destroy();
      return;
    }
    const timer = setTimeout(() => socket.destroy(), connectionTimeoutMs);
    const place = places.enter({ socket, isIdle: true }, owner);
    placeOf.set(socket, place);
    socket
      .on('error', () => {})
      .once('close', () => {
        clearTimeout(timer);
        places.leave(place);
        if (places.size === 0) noneLeft?.();
      });
    void hear(socket);
  }

  /** Closes a connection that has sent no request, so that a new one of `owner` has a slot. */
  function evictFor(owner: string): boolean {
    const place = places.find(owner, () => true);
    if (!place) return false;
    const { socket } = place.holder;
    const message = `Cannot wait longer for a request: there are ${maxConnections} connections, and a new one needs a slot`;
    onIncident({ reason: 'evicted', message, peer: peerName(socket) });
    places.leave(place);
    socket.destroy();
    return true;
  }

  async function hear(socket: Socket): Promise<void> {
    http ??= createHttp();
    const server = await http;
    if (!socket.destroyed) server.emit('connection', socket);
  }

  function cut(): void {
    for (const { socket } of places.all()) socket.destroy();
  }

  async function createHttp(): Promise<Server> {
    const { createServer } = await import('node:http');
    return createServer({ maxHeaderSize }, (request, response) => {
      const place = placeOf.get(request.socket);
      if (place) places.work(place);
      void answer(request, response);
    });
  }

  async function answer({ method = '', url = '' }: IncomingMessage, response: ServerResponse) {
    const send = pages.get(url.split('?', 1)[0] ?? '');
    if (!send) return reply(response, { status: 404, body: 'not found\n' });
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return reply(response, { status: 405, body: 'only GET and HEAD\n' });
    }
    return send(response);
  }

  function sendReady(response: ServerResponse): void {
    if (isReady()) reply(response, { status: 200, body: 'ok\n' });
    else reply(response, { status: 503, body: 'not ready\n' });
  }

  async function sendMetrics(response: ServerResponse): Promise<void> {
    try {
      metrics ??= loadMetrics();
      const { contentType: type, text } = await metrics;
      // Concurrent scrapes share one response.
      reading ??= text().finally(() => (reading = undefined));
      reply(response, { status: 200, type, body: await reading });
    } catch (err) {
      log.error({ err }, 'metrics failed');
      reply(response, { status: 500, body: 'metrics failed\n' });
    }
  }
}

interface Reply {
  status: number;
  type?: string;
  body: string;
}

/** Node omits the body of a response to HEAD. */
function reply(
  response: ServerResponse,
  { status, type = 'text/plain; charset=utf-8', body }: Reply,
): void {
  const length = Buffer.byteLength(body);
  const headers = { 'content-type': type, 'content-length': length, connection: 'close' };
  response.writeHead(status, headers).end(body);
}
