import type { Socket } from 'node:net';
import { ServerError, Status } from 'nice-grpc-common';
import type { RequestHeaders } from '../http2/request_headers.ts';
import type { Http2ServerOptions } from '../net/connections.ts';
import type { Stream, StreamEvents } from '../http2/stream.ts';
import { Held } from '../held.ts';
import { bounded } from '../bounded.ts';
import { Call, type CallDeps, CallEvents, type Method } from './call.ts';
import { type CallHead, readHead } from './call_head.ts';
import type { AnyMiddleware } from './chain.ts';
import { type ConnectionInfo, connectionInfo } from '../net/connection_info.ts';
import { Deadlines, OpenCalls } from './open_calls.ts';
import { isForWeb, refuse, RefusedRequest } from './refusal.ts';
import { createOwnFields } from './response_headers.ts';

/** Options of a router. */
export interface RouterOptions {
  /** The registry of open calls. */
  calls?: OpenCalls | undefined;
  /** The maximum request message in bytes, after decompression. */
  maxMessageSize: number;
  /** Responses of more bytes are compressed if the caller accepts it; undefined follows the request. */
  compressAbove?: number | undefined;
  /** Names and values, alternating, that every response has in its headers. */
  responseFields?: readonly string[] | undefined;
  /** Paths that are served even if the byte limit is exceeded. */
  essential?: ReadonlySet<string> | undefined;
  /** Paths that are exempt from call limits. An open call of one is charged for all that it may use. */
  unlimited?: ReadonlySet<string> | undefined;
  /** Creates the errors for calls and messages that are refused under load: RESOURCE_EXHAUSTED with a retry delay. */
  createBusy?: ((message: string) => () => ServerError) | undefined;
  /**
   * Creates, from all method paths, the function that describes an unknown path to its caller. It runs for each such
   * call and must be as cheap as a refusal.
   */
  describeUnknown?: ((paths: readonly string[]) => (path: string) => string) | undefined;
  /** Called for requests that are not gRPC calls. */
  report?: Http2ServerOptions['report'];
  /** Serves requests that are not gRPC calls; without it, they are refused. */
  serveWeb?: Http2ServerOptions['serve'] | undefined;
  /** Milliseconds on a monotonic clock, for deadlines. */
  now?: () => number;
}

/** The methods of a server, which serve the streams of all its connections. */
export interface Router {
  /** Serves a request: a gRPC call, or an HTTP request that is refused. */
  serve: Http2ServerOptions['serve'];
  /** Adds a method. */
  add(method: Omit<Method, 'descriptor'>): void;
  /** Sets the middleware for calls of unknown methods. */
  setFallbackChain(chain: readonly AnyMiddleware[]): void;
}

/**
 * The charge of an open call, in bytes. With the whole chain it uses about 8 KiB, but ten thousand idle calls must
 * fit into the default limit.
 */
export const callCost = 2560;

/** The charge of an open call that is exempt from limits: all that an idle call uses. */
const unlimitedCost = callCost + 8 * 1024;

/** Creates a router without methods. */
export function createRouter({
  calls = new OpenCalls(),
  maxMessageSize,
  compressAbove,
  responseFields,
  essential,
  unlimited,
  createBusy = busyWithoutDetails,
  describeUnknown = () => namePath,
  report = () => {},
  serveWeb,
  now = performance.now.bind(performance),
}: RouterOptions): Router {
  const methods = new Map<string, Method>();
  const deps: CallDeps = {
    calls,
    deadlines: new Deadlines(now),
    maxMessageSize,
    compressAbove,
    ownFields: createOwnFields(responseFields),
    now,
    refusal,
    busy: createBusy('Cannot accept this message: too much is buffered'),
    evicted: createBusy('Cannot keep this call: another client is below its share of calls'),
  };
  const heads = new WeakMap<RequestHeaders, CallHead>();
  const peers = new WeakMap<Socket, ConnectionInfo>();
  const overloaded = createBusy('Cannot accept more calls: too much is buffered');
  let fallbackChain: readonly AnyMiddleware[] = [];
  let describe: ((path: string) => string) | undefined;

  return {
    serve,
    add: (method) => void methods.set(method.path, described(method)),
    setFallbackChain(chain) {
      fallbackChain = chain;
    },
  };

  function serve(stream: Stream, request: RequestHeaders, socket: Socket): StreamEvents {
    let head = heads.get(request);
    if (!head) {
      if (serveWeb && isForWeb(request)) return serveWeb(stream, request, socket);
      const refusal = request.web ? undefined : refuse(request);
      if (refusal) {
        const { method, path } = request;
        const message = `${refusal.text.trim()}, not ${bounded(method, 20)} ${bounded(path, maxPathBytes)}`;
        report({ reason: `http_${refusal.status}`, message }, socket);
        return new RefusedRequest(stream, refusal, deps);
      }
      head = readHead(request);
      heads.set(request, head);
    }
    let connection = peers.get(socket);
    if (!connection) peers.set(socket, (connection = connectionInfo(socket)));
    const method = methods.get(head.path);
    const isUnlimited = unlimited?.has(head.path) ?? false;
    if (isUnlimited) stream.hold(Held.calls, unlimitedCost);
    // The client of another protocol has already been told the fault of its request.
    const fault = request.web?.fault ? undefined : refusal(stream, head.path);
    if (fault) head = { ...head, fault };
    const known = method ? { head, method } : unknown(head);
    return new CallEvents(new Call({ stream, ...known, connection, isUnlimited, deps }));
  }

  function unknown(head: CallHead) {
    describe ??= describeUnknown([...methods.keys()]);
    return unknownMethod(head, { describe, chain: fallbackChain });
  }

  function refusal({ account }: Stream, path: string): ServerError | undefined {
    return essential?.has(path) || account.admits('bytes', 0) ? undefined : overloaded();
  }
}

function busyWithoutDetails(message: string): () => ServerError {
  return () => new ServerError(Status.RESOURCE_EXHAUSTED, message);
}

/** Adds the descriptor that middleware see. */
function described(method: Omit<Method, 'descriptor'>): Method {
  const { path, requestStream, responseStream, options } = method;
  return { ...method, descriptor: { path, requestStream, responseStream, options } };
}

/** The maximum length of an unknown path in messages and logs, in bytes as JSON. */
const maxPathBytes = 200;

/** The default description of an unknown method. */
function namePath(path: string): string {
  return `Cannot find method ${bounded(path, maxPathBytes)}`;
}

interface Unknown {
  describe: (path: string) => string;
  chain: readonly AnyMiddleware[];
}

/** An unknown method is handled as bidirectional streaming, and fails at once. */
function unknownMethod(head: CallHead, { describe, chain }: Unknown) {
  // Truncated, as it is logged.
  const path = bounded(head.path, maxPathBytes);
  const fault = head.isOversized
    ? head.fault
    : new ServerError(Status.UNIMPLEMENTED, describe(head.path));
  const method = described({
    path,
    requestStream: true,
    responseStream: true,
    options: {},
    decode: () => undefined,
    encode: () => new Uint8Array(0),
    chain,
    handler: () => undefined,
  });
  return { head: { ...head, fault }, method };
}
