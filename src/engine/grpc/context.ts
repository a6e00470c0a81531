import type { CallContext, ServerError } from 'nice-grpc-common';
import type { CallHead } from './call_head.ts';
import type { ConnectionInfo } from '../net/connection_info.ts';
import { LazyMetadata } from './metadata.ts';
import type { OpenCalls } from './open_calls.ts';
import type { ResponseWriter } from './response_writer.ts';
import type { Protocol } from '../web.ts';

/** Added by the engine. */
export interface Timed {
  /**
   * When the call must have ended, in milliseconds on the monotonic clock, performance.now(), which
   * nobody sets; undefined when it has all the time it wants. Middleware may move it closer.
   */
  deadline: number | undefined;
}

/** Added by the engine. */
export interface Abortable {
  /**
   * Ends the call from outside, with this error: its signal aborts, and whatever its service waits
   * for throws. What the service throws then is an AbortError where the engine cannot say more.
   */
  abort: (error: ServerError) => void;
}

/** Added by the engine. */
export interface Drainable {
  /** Says that this call never ends by itself: it ends with UNAVAILABLE when the server drains. */
  abortOnTerminate: () => void;
}

/** Added by the engine, for middleware that limit calls. */
export interface Counted {
  /** The open calls of its server, this one among them. */
  calls: Pick<OpenCalls, 'limited'>;
  /** Whether no limit applies to this one, nor counts it. */
  isUnlimited: boolean;
}

/** Added by the direct engine. */
export interface Sending {
  /**
   * Calls back, once, when all of the response has left, or with why that is not so. It is for middleware
   * that has seen the call end: its response may turn out to be one that cannot be encoded, and what is
   * sent may still wait for the peer's windows.
   */
  whenSent?: (done: OnSent) => void;
}

/** Told what a call ended with, or was cut by on its way, if it did not end well. */
export type OnSent = (failure?: unknown) => void;

/** Added by the direct engine; see net/connection_info.ts. */
export interface Connected {
  connection?: {
    /** `client` is whose certificate the client has shown. */
    readonly tls: { readonly client: string | undefined } | undefined;
  };
}

/** Added by the direct engine to calls with a request stream. */
export interface Retaining {
  /**
   * Says how many bytes the service keeps of the requests before the last: they count against
   * the server's limit of bytes, and a call that keeps too many may be reset for it.
   */
  retain?: ((bytes: number) => void) | undefined;
}

/** How the messages of a call are compressed: what a service may know, and say. */
export interface Compression {
  /** Whether the request came compressed; of a stream, the message that was taken last. */
  readonly requestCompressed: boolean;
  /**
   * Whether the responses from here on are compressed: true for each one, where the caller takes it, and
   * false for none; undefined, as at first, leaves it to the server's own rule. A service that means to
   * change it between messages sets it before the first one, which says that some may be.
   */
  compressResponses: boolean | undefined;
}

/** Added by the direct engine. */
export interface Compressible {
  compression?: Compression;
}

/** Added by an engine that knows. */
export interface Dialled {
  /** What the caller dialled: `HOST:PORT`, or whatever it says. */
  authority?: string;
}

/** Added by an engine that knows. */
export interface Spoken {
  /** How the call came; gRPC where nothing is said. */
  protocol?: Protocol;
}

/** nice-grpc's context, and what this engine adds to it. */
export interface EngineContext
  extends CallContext, Timed, Abortable, Drainable, Counted, Sending, Dialled, Retaining {
  protocol: Protocol;
  /** `:authority`, or `host`. */
  authority: string;
  connection: ConnectionInfo;
  compression: Compression;
}

/** What a context is made of. */
interface ContextParts {
  head: CallHead;
  connection: ConnectionInfo;
  signal: AbortSignal;
  /** Milliseconds, on the engine's clock. */
  deadline: number | undefined;
  calls: OpenCalls;
  isUnlimited: boolean;
  /** Ends the call. */
  abort: Abortable['abort'];
  abortOnTerminate: Drainable['abortOnTerminate'];
  whenSent: Required<Sending>['whenSent'];
  response: ResponseWriter;
  /** Counts what the service keeps, where it can be given many messages. */
  retain: ((bytes: number) => void) | undefined;
  compression: Compression;
}

/**
 * Makes a call's context. It is a plain object with properties of its own, since middleware copy it
 * with `...context`; what costs something is made behind them when it is used: metadata here, and
 * the insides of an AbortController by Node.
 */
export function createContext(parts: ContextParts): EngineContext {
  const { head, connection, response } = parts;
  return {
    metadata: new LazyMetadata(head.fields),
    peer: connection.peer,
    header: response.header,
    sendHeader: () => response.sendHeader(),
    trailer: response.trailer,
    signal: parts.signal,
    deadline: parts.deadline,
    authority: head.authority,
    protocol: head.protocol,
    connection,
    compression: parts.compression,
    calls: parts.calls,
    isUnlimited: parts.isUnlimited,
    abort: parts.abort,
    abortOnTerminate: parts.abortOnTerminate,
    whenSent: parts.whenSent,
    retain: parts.retain,
  };
}
