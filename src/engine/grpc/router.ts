import type { Socket } from 'node:net';
import { ServerError, Status } from 'nice-grpc-common';
import type { RequestHeaders } from '../http2/request_headers.ts';
import type { Http2ServerOptions } from '../net/connections.ts';
import type { Stream, StreamEvents } from '../http2/stream.ts';
import { Held } from '../account.ts';
import { bounded } from '../bounded.ts';
import { Call, type CallDeps, CallEvents, type Method } from './call.ts';
import { type CallHead, readHead } from './call_head.ts';
import type { AnyMiddleware } from './chain.ts';
import { type ConnectionInfo, connectionInfo } from '../net/connection_info.ts';
import { Deadlines, OpenCalls } from './open_calls.ts';
import { isForWeb, refuse, RefusedRequest } from './refusal.ts';

/** What calls are served with. */
export interface RouterOptions {
  /** Has those that are open. */
  calls?: OpenCalls | undefined;
  /** The largest request message, in bytes, after decompression. */
  maxMessageSize?: number | undefined;
  /** Responses of more bytes are compressed where the caller takes it; undefined for the requests' way. */
  compressAbove?: number | undefined;
  /** Paths of calls that are served even when the server keeps more than it may. */
  essential?: ReadonlySet<string> | undefined;
  /** Paths of calls that no middleware limits: each counts for all that it may take, for as long as it is open. */
  unlimited?: ReadonlySet<string> | undefined;
  /** Makes what refuses a call or a message for want of room: RESOURCE_EXHAUSTED, and when to try again. */
  createBusy?: ((message: string) => () => ServerError) | undefined;
  /**
   * Makes, from the paths of all methods, what tells the caller of any other path what is wrong with it. It
   * is asked for each such call, and has to be as cheap as a refusal is.
   */
  describeUnknown?: ((paths: readonly string[]) => (path: string) => string) | undefined;
  /** Told of requests that are no calls. */
  report?: Http2ServerOptions['report'];
  /** Serves requests that are no gRPC calls; they are refused, if it is left out. */
  serveWeb?: Http2ServerOptions['serve'] | undefined;
  /** Milliseconds, for deadlines. */
  now?: () => number;
}

/** The methods of a server, and the calls of them, on whatever connections. */
export interface Router {
  /** Serves a request: a call, or something that is none. */
  serve: Http2ServerOptions['serve'];
  /** Serves a method from now on. */
  add(method: Omit<Method, 'descriptor'>): void;
  /** What calls of methods that do not exist go through. */
  setFallbackChain(chain: readonly AnyMiddleware[]): void;
}

/**
 * What an open call counts for, in bytes. With the whole chain it takes some 8 KiB; but ten thousand
 * that wait are no fault, and have to find room in the default budget.
 */
export const callCost = 2560;

/** The same of one that no middleware limits: all that a call takes which waits for something. */
const unlimitedCost = callCost + 8 * 1024;

const defaultMaxMessageSize = 4 * 1024 * 1024;

/** A router without methods. */
export function createRouter({
  calls = new OpenCalls(),
  maxMessageSize = defaultMaxMessageSize,
  compressAbove,
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
    now,
    refusal,
    busy: createBusy('Cannot take this message: too much is buffered'),
    evicted: createBusy(
      'Cannot keep this call: others have less than their share of the calls there can be',
    ),
  };
  const heads = new WeakMap<RequestHeaders, CallHead>();
  const peers = new WeakMap<Socket, ConnectionInfo>();
  const overloaded = createBusy('Cannot take more calls: too much is buffered');
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
        const message = `${refusal.text.trim()}, not ${bounded(method, 20)} ${bounded(path, mostPathBytes)}`;
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
    const fault = refusal(stream, head.path);
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

/** A method with what its middleware see of it. */
function described(method: Omit<Method, 'descriptor'>): Method {
  const { path, requestStream, responseStream, options } = method;
  return { ...method, descriptor: { path, requestStream, responseStream, options } };
}

/** Of a path that no method has, as JSON writes it. */
const mostPathBytes = 200;

/** What is told of an unknown method where nobody knows more. */
function namePath(path: string): string {
  return `Cannot find method ${bounded(path, mostPathBytes)}`;
}

interface Unknown {
  describe: (path: string) => string;
  chain: readonly AnyMiddleware[];
}

/** An unknown method is a bidi one that ends at once: what it would have been nobody knows. */
function unknownMethod(head: CallHead, { describe, chain }: Unknown) {
  // The log says it too, for few bytes of the caller's.
  const path = bounded(head.path, mostPathBytes);
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
