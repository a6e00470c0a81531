import { setTimeout as sleep } from 'node:timers/promises';
import {
  logVerbosity,
  type ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  setLogVerbosity,
} from '@grpc/grpc-js';
import { createServer as createNiceServer, type Server, type ServerAddBuilder } from 'nice-grpc';
import {
  type CallContext,
  ServerError,
  type ServerMiddleware,
  type ServerMiddlewareCall,
} from 'nice-grpc-common';
import type { Abortable, Counted, Drainable, Timed } from '../context.ts';
import { abortFor, isAbort, serverErrorStatus, show } from '../engine/errors.ts';
import { abortRequests } from './abort_requests.ts';
import {
  peerOf,
  type ListenAddress,
  checkAdd,
  checkUse,
  Run,
  type AddedService,
  addedService,
  handlersOf,
  type OpenCall,
  OpenCalls,
  type TlsFiles,
} from '../engine/index.ts';
import type { Engine, Limits } from './engine_types.ts';
import { credentialsOf, textOf } from './grpc_js_address.ts';
import { countOpenStreams, type OpenStreams } from './open_streams.ts';

/** Milliseconds for a peer without open calls to close its connection; it may be gone. */
const closingMs = 500;

/**
 * nice-grpc's server on grpc-js. It can listen only once, so each address has its own, built by repeating the calls
 * made to this one.
 */
export function createServer(
  limits: Limits,
  { unlimited }: { unlimited: ReadonlySet<string> },
): Engine {
  // grpc-js also throws what it would print.
  setLogVerbosity(logVerbosity.NONE);
  const options = {
    'grpc.max_concurrent_streams': limits.maxConcurrentStreams,
    'grpc.max_receive_message_length': limits.maxMessageSize,
    'grpc.keepalive_time_ms': limits.keepaliveTime,
    'grpc.keepalive_timeout_ms': limits.keepaliveTimeout,
    'grpc.max_connection_idle_ms': forGrpcJs(limits.idleTimeout),
    'grpc.max_connection_age_ms': forGrpcJs(limits.maxConnectionAge),
    'grpc.max_connection_age_grace_ms': forGrpcJs(limits.maxConnectionAgeGrace),
    'grpc.enable_channelz': 0,
    interceptors: [fillGaps],
  };
  return engineOf((calls) =>
    createNiceServer(options).use(fillContext(calls, unlimited)).use(abortRequests),
  );
}

/** grpc-js's value for no limit; 10 % more than the longest time must still fit into a timer. */
const forever = 2 ** 31 - 1;
const longest = 540 * 3_600_000;

function forGrpcJs(ms: number): number {
  return ms === Number.POSITIVE_INFINITY ? forever : Math.min(ms, longest);
}

/** The state of a listening engine: a server for each address. */
interface Running {
  run: Run;
  servers: Pick<Server, 'shutdown' | 'forceShutdown'>[];
  /** The ports, or the paths of sockets. */
  places: Set<number | string>;
  streams: OpenStreams;
}

function engineOf<Ext extends object>(create: (calls: OpenCalls) => Server<Ext>): Engine<Ext> {
  const additions: ((server: Server<Ext>) => void)[] = [];
  const services: AddedService[] = [];
  let calls = new OpenCalls();
  let running: Running | undefined;
  const forceShutdown = () => {
    if (!running || running.run.isOver) return;
    const { run, servers, streams } = running;
    for (const server of servers) server.forceShutdown();
    // Without channelz, grpc-js 1.14.7 does not track connections, so it cannot close them.
    streams.cut();
    run.end();
  };
  const shutdown = async () => {
    if (!running || running.run.isOver) return;
    const { run, servers, streams } = running;
    run.shutDown();
    const closed = Promise.all(servers.map((server) => server.shutdown()));
    await streams.none();
    const timeout = new AbortController();
    const enough = sleep(closingMs, undefined, { signal: timeout.signal }).catch(() => {});
    await Promise.race([closed, enough]);
    timeout.abort();
    forceShutdown();
  };

  return {
    use(middleware) {
      checkUse(running?.run, services);
      return engineOf((open) => create(open).use(middleware));
    },
    ...addBuilder((server) => server),
    listen,
    setTls: undefined,
    retireConnections: undefined,
    shutdown,
    forceShutdown,
    get counts() {
      // A call is counted as a stream, as grpc-js exposes no calls.
      const open = running?.streams.count() ?? 0;
      return {
        connections: undefined,
        streams: open,
        calls: open,
        bufferedBytes: undefined,
        heldBytes: undefined,
        waitingMessages: undefined,
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
    if (running?.run.isOver) calls = new OpenCalls();
    if (!running || running.run.isOver) running = start(services);
    const { run, servers, places } = running;
    const server = create(calls);
    for (const add of additions) add(server);
    const port = await run.listen(
      () => server.listen(textOf(address), credentialsOf(credentials)),
      () => server.forceShutdown(),
    );
    servers.push(server);
    if (typeof address === 'string') {
      places.add(/^unix:(?:\/\/)?(?<path>.+)/.exec(address)?.groups?.['path'] ?? port);
      return port;
    }
    places.add('path' in address ? address.path : port);
    return 'path' in address ? undefined : port;
  }

  function addBuilder<More>(
    open: (server: Server<Ext>) => ServerAddBuilder<More>,
  ): ServerAddBuilder<More> {
    return {
      with: (middleware) => addBuilder((server) => open(server).with(middleware)),
      add(definition, implementation) {
        checkAdd(running?.run);
        services.push(addedService(definition, implementation));
        additions.push((server) => open(server).with(unlessOver).add(definition, implementation));
      },
    };
  }
}

function start(services: readonly AddedService[]): Running {
  // The errors of nice-grpc and grpc-js do not name the service.
  handlersOf(services);
  const places = new Set<number | string>();
  const streams = countOpenStreams((place) => places.has(place));
  return { run: new Run(() => streams[Symbol.dispose]()), servers: [], places, streams };
}

/**
 * nice-grpc's context has no deadline, and metadata is the only way to pass one from an interceptor. The key is
 * written or removed at every call, so it never holds a caller's value.
 */
const deadlineKey = 'greeter-deadline-ms';

const fillGaps: ServerInterceptor = (method, call) =>
  new ServerInterceptingCall(call, {
    start(next) {
      next({
        onReceiveMetadata(metadata, pass) {
          // Computed just now from the wall clock, which may jump later.
          const left = Number(call.getDeadline()) - Date.now();
          if (Number.isFinite(left)) metadata.set(deadlineKey, String(performance.now() + left));
          else metadata.remove(deadlineKey);
          pass(metadata);
        },
        // node:http2 emits the end of a reset stream before the reset. A turn later, grpc-js knows of it, and the
        // handler does not take half of a request stream for the whole.
        ...(method.requestStream && { onReceiveHalfClose: (pass) => void setImmediate(pass) }),
      });
    },
  });

/** A call from the middleware on; grpc-js reports nothing earlier. */
class CallInChain implements OpenCall {
  slot = -1;
  entry = 0;
  isEndless = false;
  readonly isUnlimited: boolean;
  readonly #ending = new AbortController();
  endedBy: { error: unknown } | undefined;

  constructor(isUnlimited: boolean) {
    this.isUnlimited = isUnlimited;
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  end({ error }: { error: unknown }): void {
    this.endedBy ??= { error };
    this.#ending.abort(abortFor(error));
  }
}

function fillContext(calls: OpenCalls, unlimited: ReadonlySet<string>) {
  const middleware: ServerMiddleware<Filled> = async function* fillContext<Req, Res>(
    call: ServerMiddlewareCall<Req, Res, Filled>,
    context: CallContext,
  ) {
    const text = context.metadata.get(deadlineKey);
    if (text !== undefined) context.metadata.delete(deadlineKey);
    const self = new CallInChain(unlimited.has(call.method.path));
    calls.add(self);
    calls.enter(self);
    if (calls.closedFor) self.end(calls.closedFor);
    try {
      const response = yield* call.next(call.request, {
        ...context,
        peer: peerOfText(context.peer),
        signal: AbortSignal.any([context.signal, self.signal]),
        deadline: text === undefined ? undefined : Number(text),
        calls,
        isUnlimited: self.isUnlimited,
        abort: (error) => self.end({ error }),
        abortOnTerminate: () => calls.endWithDrain(self),
      });
      if (self.endedBy) throw self.endedBy.error;
      return response;
    } catch (thrown) {
      throw presentable(self.endedBy && isAbort(thrown) ? self.endedBy.error : thrown);
    } finally {
      calls.delete(self);
    }
  };
  return middleware;
}

type Filled = Timed & Abortable & Drainable & Counted;

/** As in the direct engine: no handler runs for a call that is already over. */
const unlessOver: ServerMiddleware = (call, context) => {
  context.signal.throwIfAborted();
  return call.next(call.request, context);
};

/** As in the direct engine: grpc-js writes IPv6 addresses without brackets. */
function peerOfText(text: string): string {
  const { address, port } = /^(?<address>.+):(?<port>\d+)$/.exec(text)?.groups ?? {};
  return address === undefined ? text : peerOf(address, port);
}

/** An error that nice-grpc and grpc-js can send; any other would end the process. */
function presentable(thrown: unknown): unknown {
  const status = serverErrorStatus(thrown);
  if (status) return new ServerError(status.code, status.details.toWellFormed());
  return isAbort(thrown) || isPlainError(thrown) ? thrown : new Error(show(thrown));
}

function isPlainError(thrown: unknown): boolean {
  try {
    return thrown instanceof Error && typeof thrown.stack === 'string';
  } catch {
    return false;
  }
}
