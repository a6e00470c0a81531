import type { Socket } from 'node:net';
import type { ServerCredentials } from '@grpc/grpc-js';
import type { Server, ServerAddBuilder } from 'nice-grpc';
import type { ServerMiddleware } from 'nice-grpc-common';
import type { HeldBytes } from '../account.ts';
import type { Incident } from '../http2/incident.ts';
import {
  createHttp2Server,
  type Http2Server,
  type Http2ServerOptions,
} from '../net/connections.ts';
import { addressOf, tlsFilesOf } from '../net/address.ts';
import type { AnyMiddleware } from './chain.ts';
import { peerName } from '../net/connection_info.ts';
import type { EngineContext } from './context.ts';
import { reasons } from './end_reason.ts';
import { http1Response } from './http1_response.ts';
import { type ListenAddress, Listeners, type ReportOfSocket } from '../net/listeners.ts';
import { OpenCalls } from './open_calls.ts';
import { callCost, createRouter, type Router, type RouterOptions } from './router.ts';
import { checkAdd, checkUse, Run } from './run.ts';
import { type AddedService, addedService, handlersOf } from './methods.ts';
import type { TlsFiles } from '../net/tls_options.ts';
import type { ServeWeb } from '../web.ts';
import { createWebParts } from './web_parts.ts';

/** What a server bears; what is left out has the defaults of http2/ and of the router. */
export interface GrpcServerOptions
  extends
    Omit<
      Http2ServerOptions,
      'serve' | 'now' | 'report' | 'http1Response' | 'serveHttp1' | 'scheduler'
    >,
    Pick<
      RouterOptions,
      | 'maxMessageSize'
      | 'compressAbove'
      | 'essential'
      | 'unlimited'
      | 'createBusy'
      | 'describeUnknown'
    > {
  /** TLS handshakes that may be under way at once, on all addresses together. */
  maxHandshakes?: number | undefined;
  /** Serves HTTP/1.1, and what is no gRPC; loaded with the first such request. Without it they are refused. */
  loadWeb?: (() => Promise<ServeWeb>) | undefined;
  /** Told what goes wrong with connections, and with requests that are no calls. */
  onIncident?: ((event: Incident & { peer: string }) => void) | undefined;
}

/** What is open on a server. */
export interface Counts {
  /** Undefined where the engine cannot say. */
  connections: number | undefined;
  streams: number;
  calls: number;
  /** What all connections together keep of what is limited, in bytes; undefined where the engine cannot say. */
  bufferedBytes: number | undefined;
  /** What peers hold, in bytes by what it is for; undefined where the engine cannot say. */
  heldBytes: HeldBytes | undefined;
  /** Large messages that wait for room; undefined where the engine cannot say. */
  waitingMessages: number | undefined;
}

/**
 * nice-grpc's Server, on a transport of our own; `listen` may be called more than once. Services and
 * middleware come before that, and `use` gives a server with services and addresses of its own.
 */
export interface GrpcServer<Ext = {}> extends Omit<Server<Ext>, 'use' | 'listen'> {
  use<More>(middleware: ServerMiddleware<More, Ext>): GrpcServer<Ext & More>;
  /** As nice-grpc has it; throws for credentials that files cannot say. */
  listen(address: string, credentials?: ServerCredentials): Promise<number>;
  /** Listens on an address, with TLS where there are files for it; gives the port. */
  listen(address: ListenAddress, tls?: TlsFiles): Promise<number | undefined>;
  /** Serves new handshakes with other files, on every address with TLS; undefined where the engine cannot. */
  setTls: ((tls: TlsFiles) => void) | undefined;
  /**
   * Says GOAWAY on every connection that there is now, and goes on listening: clients that balance look for
   * other servers while this one still takes those that find none. Undefined where the engine cannot.
   */
  retireConnections: (() => void) | undefined;
  readonly counts: Counts;
  /** The calls that are open; when it listens anew after it has shut down, it has others. */
  readonly calls: OpenCalls;
}

/** A server that listens on nothing yet. */
export function createServer(options: GrpcServerOptions = {}): GrpcServer<EngineContext> {
  const {
    maxMessageSize,
    compressAbove,
    essential,
    unlimited,
    createBusy,
    describeUnknown,
    maxHandshakes,
    onIncident,
    loadWeb,
    ...more
  } = options;
  const report: ReportOfSocket = (incident, socket) =>
    onIncident?.({ ...incident, peer: peerName(socket) });
  return serverOn((calls) => {
    const web =
      loadWeb &&
      createWebParts({
        load: loadWeb,
        serve: (...about) => router.serve(...about),
        callCost,
        report,
      });
    const router: Router = createRouter({
      calls,
      maxMessageSize,
      compressAbove,
      essential,
      unlimited,
      createBusy,
      describeUnknown,
      report,
      serveWeb: web?.serveStream,
    });
    const http2 = createHttp2Server({
      ...more,
      limits: { streamCost: callCost, ...more.limits },
      serve: router.serve,
      report,
      http1Response,
      serveHttp1: web?.serveHttp1,
    });
    return { router, http2, maxHandshakes, report, speaksHttp1: web !== undefined };
  });
}

/** What serves while a server listens. */
interface Parts {
  /** Without methods. */
  router: Router;
  /** The connections that it serves. */
  http2: Http2Server;
  maxHandshakes?: number | undefined;
  report?: ReportOfSocket;
  /** Whether clients of TLS may choose HTTP/1.1. */
  speaksHttp1?: boolean;
}

/** The same on parts that are made when it begins to listen. */
export function serverOn(open: (calls: OpenCalls) => Parts): GrpcServer<EngineContext> {
  return through([]);

  function through<Ext>(chain: readonly AnyMiddleware[]): GrpcServer<Ext> {
    const services: ChainedService[] = [];
    let calls = new OpenCalls();
    let running: Running | undefined;

    return {
      ...addBuilder<Ext>(chain),
      use<More>(middleware: ServerMiddleware<More, Ext>) {
        checkUse(running?.run, services);
        return through<Ext & More>([...chain, middleware]);
      },
      listen,
      setTls: (tls) => running?.listeners.setTls(tls),
      retireConnections: () => running?.http2.retireConnections(),
      async shutdown() {
        if (!running || running.run.isOver) return;
        const { run, listeners, http2 } = running;
        run.shutDown();
        listeners.close();
        await http2.shutdown();
        run.end();
      },
      forceShutdown() {
        if (!running || running.run.isOver) return;
        const { run, listeners, http2 } = running;
        run.end();
        listeners.close();
        calls.end(reasons.serverStops());
        // The calls end in this turn, and their last words leave at the end of it.
        setImmediate(() => setImmediate(() => http2.destroy()));
      },
      get counts() {
        if (!running) return nothing;
        const { http2, listeners } = running;
        const { openConnections: connections, openStreams: streams } = http2;
        const { bufferedBytes, waitingMessages } = http2;
        const heldBytes = { handshakes: listeners.heldBytes, ...http2.heldBytes };
        return {
          connections,
          streams,
          calls: calls.size,
          bufferedBytes,
          heldBytes,
          waitingMessages,
        };
      },
      get calls() {
        return calls;
      },
    };

    function listen(address: string, credentials?: ServerCredentials): Promise<number>;
    function listen(address: ListenAddress, tls?: TlsFiles): Promise<number | undefined>;
    async function listen(
      address: string | ListenAddress,
      credentials?: ServerCredentials | TlsFiles,
    ): Promise<number | undefined> {
      const tls = tlsFilesOf(credentials);
      const where = typeof address === 'string' ? addressOf(address) : address;
      if (running?.run.isOver) calls = new OpenCalls();
      if (!running || running.run.isOver) running = start(open(calls), { chain, services });
      const { run, listeners } = running;
      const port = await run.listen(
        () => listeners.listen(where, tls),
        () => listeners.close(),
      );
      return typeof address === 'string' ? (port ?? portOfPath) : port;
    }

    function addBuilder<More>(through: readonly AnyMiddleware[]): ServerAddBuilder<More> {
      return {
        with: <Added>(added: ServerMiddleware<Added, More>) =>
          addBuilder<More & Added>([...through, added]),
        add(definition, implementation) {
          checkAdd(running?.run);
          services.push({ ...addedService(definition, implementation), chain: through });
        },
      };
    }
  }
}

const nothing: Counts = {
  connections: 0,
  streams: 0,
  calls: 0,
  bufferedBytes: 0,
  heldBytes: {},
  waitingMessages: 0,
};

/** As grpc-js has it, where nice-grpc gives the port of a unix socket. */
const portOfPath = 1;

interface ChainedService extends AddedService {
  chain: readonly AnyMiddleware[];
}

/** What there is while a server listens. */
interface Running extends Parts {
  run: Run;
  listeners: Listeners;
}

function start(
  parts: Parts,
  { chain, services }: { chain: readonly AnyMiddleware[]; services: readonly ChainedService[] },
): Running {
  const { router, http2, maxHandshakes, report, speaksHttp1 } = parts;
  router.setFallbackChain(chain);
  for (const { codec, handler, service } of handlersOf(services)) {
    router.add({ ...codec, chain: service.chain, handler });
  }
  const run = new Run();
  const onSocket = (socket: Socket) => {
    // Its handshake may end when the server has left.
    if (run.isOver) socket.destroy();
    else http2.attach(socket);
  };
  const listeners = new Listeners({ onSocket, maxHandshakes, report, speaksHttp1 });
  return { ...parts, run, listeners };
}
