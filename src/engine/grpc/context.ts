import type { CallContext, ServerError } from 'nice-grpc-common';
import type { CallFaults } from './call_faults.ts';
import type { CallHead } from './call_head.ts';
import type { ConnectionInfo } from '../net/connection_info.ts';
import { LazyMetadata } from './metadata.ts';
import type { OpenCalls } from './open_calls.ts';
import type { ResponseWriter } from './response_writer.ts';
import type { Protocol } from '../web.ts';

/** Context of every call: its deadline. */
export interface Timed {
  /**
   * The deadline in milliseconds of performance.now(), which is monotonic; undefined if there is none. Middleware may
   * shorten it.
   */
  deadline: number | undefined;
  /** Enforces a shorter deadline; undefined if only a timer of its own can do that. */
  timing?: Timing | undefined;
}

/** Enforces the deadline of a call, without a timer for each call. */
export interface Timing {
  /** Ends the call with DEADLINE_EXCEEDED at this time, if that is earlier than its deadline. */
  shortenTo(deadline: number): void;
}

/** Context of every call: cancellation by the server. */
export interface Abortable {
  /**
   * Ends the call with this error and aborts its signal, so that whatever the service waits for throws. An AbortError
   * of the service is replaced by this error.
   */
  abort: (error: ServerError) => void;
}

/** Context of every call: graceful shutdown. */
export interface Drainable {
  /** Marks a call that never ends on its own; it ends with UNAVAILABLE when the server shuts down. */
  abortOnTerminate: () => void;
}

/** Context of every call, for middleware that limit calls. */
export interface Counted {
  /** The open calls of the server, including this one. */
  calls: Pick<OpenCalls, 'limited'>;
  /** True if the call is exempt from limits and is not counted. */
  isUnlimited: boolean;
}

/** Context of every call of the direct engine: the end of the response. */
export interface Sending {
  /**
   * Calls back, once, when the whole response has been sent, or with the error if it was not. It serves middleware
   * that have seen the call end, because the response may still fail to encode, or wait for flow control.
   */
  whenSent?: (done: OnSent) => void;
}

/** Called with the error that a call ended with, or that cut it; undefined if it succeeded. */
export type OnSent = (failure?: unknown) => void;

/** Context of every call of the direct engine; see net/connection_info.ts. */
export interface Connected {
  connection?: {
    /** `client` is the name in the client's certificate. */
    readonly tls: { readonly client: string | undefined } | undefined;
  };
}

/** Context of calls with a request stream, in the direct engine. */
export interface Retaining {
  /**
   * Reports how many bytes of earlier requests the service retains. They count against the server's byte limit, and a
   * call that retains too much may be reset.
   */
  retain?: ((bytes: number) => void) | undefined;
}

/** Message compression of a call, as a service sees and sets it. */
export interface Compression {
  /** True if the request was compressed; for a request stream, the last message that was read. */
  readonly requestCompressed: boolean;
  /**
   * Whether the following responses are compressed: true compresses each one if the caller accepts it, false
   * compresses none, and undefined (the default) applies the server's rule. A service that changes it between
   * messages must set it before the first one, as the headers announce the encoding.
   */
  compressResponses: boolean | undefined;
}

/** Context of every call of the direct engine: compression. */
export interface Compressible {
  compression?: Compression;
}

/** Context of every call of the direct engine: faults, for tests of clients. */
export interface Faulty {
  faults?: CallFaults;
}

/** Context of every call, if the engine knows the authority. */
export interface WithAuthority {
  /** The authority that the caller used, usually `HOST:PORT`. */
  authority?: string;
}

/** Context of every call: its protocol. */
export interface WithProtocol {
  /** The protocol of the call; undefined means gRPC. */
  protocol?: Protocol;
}

/** nice-grpc's context, with the additions of this engine. */
export interface EngineContext
  extends
    CallContext,
    Timed,
    Abortable,
    Drainable,
    Counted,
    Sending,
    WithAuthority,
    Retaining,
    Faulty {
  protocol: Protocol;
  /** The `:authority`, or else the `host` field. */
  authority: string;
  connection: ConnectionInfo;
  compression: Compression;
}

/** The parts of a context. */
interface ContextParts {
  head: CallHead;
  connection: ConnectionInfo;
  signal: AbortSignal;
  /** Milliseconds on the engine's clock. */
  deadline: number | undefined;
  calls: OpenCalls;
  isUnlimited: boolean;
  /** Ends the call. */
  abort: Abortable['abort'];
  abortOnTerminate: Drainable['abortOnTerminate'];
  whenSent: Required<Sending>['whenSent'];
  response: ResponseWriter;
  /** Charges what the service retains; only for request streams. */
  retain: ((bytes: number) => void) | undefined;
  compression: Compression;
  faults: CallFaults;
  timing: Timing;
}

/**
 * Creates the context of a call: a plain object with own properties, because middleware copy it with `...context`.
 * Costly parts are created when they are first used: metadata here, an AbortController's internals by Node.
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
    faults: parts.faults,
    timing: parts.timing,
    calls: parts.calls,
    isUnlimited: parts.isUnlimited,
    abort: parts.abort,
    abortOnTerminate: parts.abortOnTerminate,
    whenSent: parts.whenSent,
    retain: parts.retain,
  };
}
