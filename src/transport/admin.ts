import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { peerName, Listeners, ownerOf, type Place, Places } from '../engine/index.ts';
import type { ConnectionErrors } from '../observability/connection_errors.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Engine } from './engine_types.ts';

/** What the admin port tells of. */
interface AdminDeps {
  log: Pick<Logger, 'error'>;
  /** Whether new calls are welcome. */
  isReady: () => boolean;
  /** Called by the first who asks for metrics. */
  loadMetrics: () => Promise<Metrics>;
  /** Told of connections that are refused, or dropped for others. */
  onIncident?: ConnectionErrors['record'];
  times?: Partial<AdminTimes>;
}

interface Peer {
  socket: Socket;
  /** Until its request has come, and it has no more than one; see Places. */
  isIdle: true;
}

interface AdminTimes {
  /** How long a connection may be open: time for one request and its answer, in milliseconds. */
  patience: number;
  /** When the port is closed, how long answers may take that are on their way, in milliseconds. */
  lastAnswers: number;
}

const defaultTimes: AdminTimes = { patience: 10_000, lastAnswers: 250 };

/** Beyond it one that has asked for nothing goes for one that comes, or that one is closed. */
const maxConnections = 50;
const maxHeaderSize = 8 * 1024;

/** The admin port: HTTP/1.1, with /metrics, /livez and /readyz. */
export interface Admin extends Pick<Engine, 'forceShutdown'> {
  /** Listens on an address; gives the port, if it has one. Throws Node's own errors. */
  listen: (...address: Parameters<Engine['listen']>) => Promise<number | undefined>;
  /** Lets answers that are on their way leave; then no connection is open. */
  close(): Promise<void>;
}

/**
 * Makes the admin port, which listens on nothing yet. Every connection has one request and a time by which
 * it is gone, whatever its peer does. node:http is loaded by the first: a start does not wait for it.
 */
export function createAdmin({
  log,
  isReady,
  loadMetrics,
  onIncident = () => {},
  times,
}: AdminDeps): Admin {
  const { patience, lastAnswers } = { ...defaultTimes, ...times };
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
      const timer = setTimeout(cut, lastAnswers);
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
    if (places.size >= maxConnections && !makeRoom(owner)) {
      const message = `Cannot take more than ${maxConnections} connections to the admin port`;
      onIncident({ reason: 'refused', message, peer: peerName(socket) });
      socket.destroy();
      return;
    }
    const timer = setTimeout(() => socket.destroy(), patience);
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

  /** Drops whoever keeps the port from others by asking for nothing. */
  function makeRoom(owner: string): boolean {
    const place = places.find(owner, () => true);
    if (!place) return false;
    const { socket } = place.holder;
    const message = `Cannot wait longer for a request: there are ${maxConnections} connections, and another one comes`;
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
      // Those who ask at once get one answer: however many ask, it is made once at a time.
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

/** Node leaves the body away where HEAD was asked for. */
function reply(
  response: ServerResponse,
  { status, type = 'text/plain; charset=utf-8', body }: Reply,
): void {
  const length = Buffer.byteLength(body);
  const headers = { 'content-type': type, 'content-length': length, connection: 'close' };
  response.writeHead(status, headers).end(body);
}
