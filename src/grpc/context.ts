import type { CallContext, ServerError } from 'nice-grpc-common';
import type { Abortable, Compression, Dialled, Retaining, Sending, Timed } from '../context.ts';
import type { CallHead } from './call_head.ts';
import type { ConnectionInfo } from './connection_info.ts';
import { LazyMetadata } from './metadata.ts';
import type { ResponseWriter } from './response_writer.ts';

/** nice-grpc's context, and what this engine adds to it. */
export interface EngineContext extends CallContext, Timed, Abortable, Sending, Dialled, Retaining {
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
  /** Ends the call. */
  abort: (error: ServerError) => void;
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
  const { head, connection, signal, deadline, abort, whenSent, response, compression, retain } =
    parts;
  return {
    metadata: new LazyMetadata(head.fields),
    peer: connection.peer,
    header: response.header,
    sendHeader: () => response.sendHeader(),
    trailer: response.trailer,
    signal,
    deadline,
    authority: head.authority,
    connection,
    compression,
    abort,
    whenSent,
    retain,
  };
}
