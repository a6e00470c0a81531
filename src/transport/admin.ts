import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { Metrics } from '../observability/metrics.ts';
import type { Engine } from './engine.ts';

/** What the admin port tells of. */
interface AdminDeps {
  log: Pick<Logger, 'error'>;
  /** Whether new calls are welcome. */
  isReady: () => boolean;
  /** Called by the first who asks for metrics. */
  loadMetrics: () => Promise<Metrics>;
  times?: Partial<AdminTimes>;
}

/** How long a peer may take, in milliseconds. */
interface AdminTimes {
  headers: number;
  /** The whole request. */
  request: number;
  /** A connection on which nothing moves. */
  silence: number;
  /** How often the first two are looked at. */
  check: number;
  /** When the port is closed: answers that are on their way. */
  lastAnswers: number;
}

const defaultTimes: AdminTimes = {
  headers: 5000,
  request: 10_000,
  silence: 10_000,
  check: 1000,
  lastAnswers: 250,
};

/** Connections beyond it are closed as they come: those who read metrics are few. */
const maxConnections = 50;
const maxHeaderSize = 8 * 1024;

/** The admin port: HTTP/1.1, with /metrics, /livez and /readyz. */
export interface Admin extends Pick<Engine, 'forceShutdown'> {
  /** Listens on an address; gives the port, if it has one. Throws Node's own errors. */
  listen: (...address: Parameters<Engine['listen']>) => Promise<number | undefined>;
  /** Lets answers that are on their way leave, and then no connection open. */
  close(): Promise<void>;
}

/** Makes the admin port, which listens on nothing yet. */
export function createAdmin({ log, isReady, loadMetrics, times }: AdminDeps): Admin {
  const { headers, request, silence, check, lastAnswers } = { ...defaultTimes, ...times };
  const servers: Server[] = [];
  const pages = new Map<string, (response: ServerResponse) => void | Promise<void>>([
    ['/livez', (response) => reply(response, { status: 200, body: 'ok\n' })],
    ['/readyz', sendReady],
    ['/metrics', sendMetrics],
  ]);
  let metrics: Promise<Metrics> | undefined;
  let reading: Promise<string> | undefined;

  return {
    async listen(address) {
      // Loaded only here: a server without an admin port has no use for it.
      const { createServer } = await import('node:http');
      const server = createServer(
        {
          headersTimeout: headers,
          requestTimeout: request,
          connectionsCheckingInterval: check,
          maxHeaderSize,
        },
        (request, response) => void answer(request, response),
      );
      server.maxConnections = maxConnections;
      server.setTimeout(silence);
      await once(server.listen(address), 'listening');
      servers.push(server);
      const bound = server.address();
      return typeof bound === 'object' && bound !== null ? bound.port : undefined;
    },
    async close() {
      const timer = setTimeout(cut, lastAnswers);
      await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
      clearTimeout(timer);
    },
    forceShutdown() {
      for (const server of servers) server.close();
      cut();
    },
  };

  function cut(): void {
    for (const server of servers) server.closeAllConnections();
  }

  async function answer({ method = '', url = '' }: IncomingMessage, response: ServerResponse) {
    const send = pages.get(url.split('?', 1)[0] ?? '');
    if (!send) return reply(response, { status: 404, body: 'not found\n' });
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD').setHeader('connection', 'close');
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
  response.writeHead(status, { 'content-type': type, 'content-length': length }).end(body);
}
