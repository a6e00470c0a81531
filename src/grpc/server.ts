import type { CompatServiceDefinition, Server, ServiceImplementation } from 'nice-grpc';
import { ServerError, type ServerMiddleware, Status } from 'nice-grpc-common';
import type { Incident } from '../http2/incident.ts';
import { createHttp2Server, type Http2Server, type Http2ServerOptions } from '../http2/server.ts';
import type { AnyMiddleware } from './chain.ts';
import { peerName } from './connection_info.ts';
import type { EngineContext } from './context.ts';
import type { Handler } from './innermost.ts';
import { http1Response } from './http1_response.ts';
import { type ListenAddress, Listeners, type ReportOfSocket } from './listeners.ts';
import { methodsOf } from './methods.ts';
import { createRouter, type Router, type RouterOptions } from './router.ts';
import type { TlsFiles } from './tls_options.ts';

/** What a server bears; what is left out has the defaults of http2/ and of the router. */
export interface GrpcServerOptions
  extends
    Omit<Http2ServerOptions, 'serve' | 'now' | 'report' | 'http1Response'>,
    Pick<RouterOptions, 'maxMessageSize' | 'compressAbove' | 'essential'> {
  /** Told what goes wrong with connections, and with requests that are no calls. */
  onIncident?: ((event: Incident & { peer: string }) => void) | undefined;
}

/** What is open on a server. */
export interface Counts {
  /** Undefined where the engine cannot say. */
  connections: number | undefined;
  streams: number;
  calls: number;
  /** What all connections together keep, in bytes; undefined where the engine cannot say. */
  bufferedBytes: number | undefined;
}

/** nice-grpc's Server, on a transport of our own; `listen` may be called more than once. */
export interface GrpcServer<Ext = {}> extends Omit<Server<Ext>, 'use' | 'listen'> {
  use<More>(middleware: ServerMiddleware<More, Ext>): GrpcServer<Ext & More>;
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
}

/**
 * What an open call counts for, in bytes. With the whole chain it takes some 8 KiB; but ten thousand
 * that wait are no fault, and have to find room in the default budget.
 */
const callCost = 2560;

/** A server that listens on nothing yet. */
export function createServer(options: GrpcServerOptions = {}): GrpcServer<EngineContext> {
  const { maxMessageSize, compressAbove, essential, onIncident, ...more } = options;
  const isOverloaded = () => http2.isOverloaded;
  const report: ReportOfSocket = (incident, socket) =>
    onIncident?.({ ...incident, peer: peerName(socket) });
  const router = createRouter({ maxMessageSize, compressAbove, essential, isOverloaded, report });
  const http2 = createHttp2Server({
    ...more,
    limits: { streamCost: callCost, ...more.limits },
    serve: router.serve,
    report,
    http1Response,
  });
  return serverOn({ router, http2, report });
}

/** The same for a router that is there already, and the connections that it serves. */
export function serverOn({
  router,
  http2,
  report,
}: {
  router: Router;
  http2: Http2Server;
  report?: ReportOfSocket;
}): GrpcServer<EngineContext> {
  const listeners = new Listeners({
    onSocket: (socket) => http2.attach(socket),
    maxConnections: http2.maxConnections,
    report,
  });
  return through([]);

  function through<Ext>(chain: readonly AnyMiddleware[]): GrpcServer<Ext> {
    router.strayThrough(chain);
    return {
      ...addBuilder(chain),
      use<More>(middleware: ServerMiddleware<More, Ext>) {
        if (router.hasMethods) throw new Error('Cannot use() middleware after add()');
        return through<Ext & More>([...chain, middleware]);
      },
      listen: (address, tls) => listeners.listen(address, tls),
      setTls: (tls) => listeners.setTls(tls),
      retireConnections: () => http2.retireConnections(),
      async shutdown() {
        listeners.close();
        await http2.shutdown();
      },
      forceShutdown() {
        listeners.close();
        router.cut(new ServerError(Status.UNAVAILABLE, 'Server is leaving'));
        // The calls end in this turn, and their last words leave at the end of it.
        setImmediate(() => setImmediate(() => http2.destroy()));
      },
      get counts() {
        const { openConnections: connections, openStreams: streams, bufferedBytes } = http2;
        return { connections, streams, calls: router.openCalls, bufferedBytes };
      },
    };
  }

  function addBuilder<More>(chain: readonly AnyMiddleware[]) {
    return {
      with: <Added>(added: ServerMiddleware<Added, More>) =>
        addBuilder<More & Added>([...chain, added]),
      add<Service extends CompatServiceDefinition>(
        definition: Service,
        implementation: ServiceImplementation<Service, More>,
      ) {
        // The type of `implementation` holds a handler of its kind for each method.
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion
        const handlers = implementation as unknown as Record<string, Handler>;
        for (const [key, codec] of methodsOf(definition)) {
          const handler: Handler = (request, context) => handlers[key]?.(request, context);
          router.add({ ...codec, chain, handler });
        }
      },
    };
  }
}
