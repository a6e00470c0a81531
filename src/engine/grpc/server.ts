import type { Socket } from 'node:net';
import type { ServerCredentials } from '@grpc/grpc-js';
import type { Server, ServerAddBuilder } from 'nice-grpc';
import type { ServerMiddleware } from 'nice-grpc-common';
import type { HeldBytes } from '../held.ts';
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

/** Limits of a server. */
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
      | 'responseFields'
    > {
  /** The maximum number of concurrent TLS handshakes on all addresses. */
  maxHandshakes: number;
  /**
   * Loads the code that serves HTTP/1.1 and requests that are not gRPC calls, with the first of them. Without it, they
   * are refused.
   */
  loadWeb?: (() => Promise<ServeWeb>) | undefined;
  /** Called for connection errors, and for requests that are not gRPC calls. */
  onIncident?: ((event: Incident & { peer: string }) => void) | undefined;
}

/** The open resources of a server. */
export interface Counts {
  /** Undefined if the engine does not count them. */
  connections: number | undefined;
  streams: number;
  calls: number;
  /** Bytes that count against the limit; undefined if the engine does not count them. */
  bufferedBytes: number | undefined;
  /** Bytes held by category; undefined if the engine does not count them. */
  heldBytes: HeldBytes | undefined;
  /** Large messages that wait for admission; undefined if the engine does not count them. */
  waitingMessages: number | undefined;
}

/**
 * nice-grpc's Server on this engine. `listen` may be called more than once, after services and middleware are added;
 * `use` returns a server with its own services and addresses.
 */
export interface GrpcServer<Ext = {}> extends Omit<Server<Ext>, 'use' | 'listen'> {
  use<More>(middleware: ServerMiddleware<More, Ext>): GrpcServer<Ext & More>;
  /** As in nice-grpc; throws for credentials that TlsFiles cannot express. */
  listen(address: string, credentials?: ServerCredentials): Promise<number>;
  /** Listens on an address, with TLS if files are given; returns the port. */
  listen(address: ListenAddress, tls?: TlsFiles): Promise<number | undefined>;
  /** Replaces the TLS files for new handshakes on every TLS address; undefined if the engine cannot. */
  setTls: ((tls: TlsFiles) => void) | undefined;
  /**
   * Sends GOAWAY on every connection that is open now and keeps listening, so that balancing clients move to other
   * servers. Undefined if the engine cannot.
   */
  retireConnections: (() => void) | undefined;
  readonly counts: Counts;
  /** The open calls. A server that listens again after shutdown has a new registry. */
  readonly calls: OpenCalls;
}

/** Creates a server that does not listen yet. */
export function createServer(options: GrpcServerOptions): GrpcServer<EngineContext> {
  const {
    maxMessageSize,
    compressAbove,
    responseFields,
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
      responseFields,
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

/** The parts that exist while a server listens. */
interface Parts {
  /** A router without methods. */
  router: Router;
  /** The HTTP/2 connections. */
  http2: Http2Server;
  maxHandshakes: number;
  report?: ReportOfSocket;
  /** True if TLS clients may choose HTTP/1.1. */
  speaksHttp1?: boolean;
}

/** Creates a server from parts that are created when it starts to listen. */
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
        // The calls end in this turn, and their status is sent at the end of it.
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

/** As in grpc-js: nice-grpc returns a port even for a unix socket. */
const portOfPath = 1;

interface ChainedService extends AddedService {
  chain: readonly AnyMiddleware[];
}

/** The state of a server that listens. */
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
    // A handshake may end after the server has closed.
    if (run.isOver) socket.destroy();
    else http2.attach(socket);
  };
  const listeners = new Listeners({ onSocket, maxHandshakes, report, speaksHttp1 });
  return { ...parts, run, listeners };
}
