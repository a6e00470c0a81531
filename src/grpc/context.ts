import type { CallContext, ServerError } from 'nice-grpc-common';
import type { Abortable, Timed } from '../context.ts';
import type { CallHead } from './call_head.ts';
import type { ConnectionInfo } from './connection_info.ts';
import { LazyMetadata } from './metadata.ts';

/** nice-grpc's context, and what this engine adds to it. */
export interface EngineContext extends CallContext, Timed, Abortable {
  /** What the caller dialled: `:authority`, or `host`. */
  authority: string;
  connection: ConnectionInfo;
}

interface ContextDeps {
  head: CallHead;
  connection: ConnectionInfo;
  /** Milliseconds since the epoch. */
  arrivedAt: () => number;
  abort: (error: ServerError) => void;
  sendHeader: () => void;
}

const noFields: readonly string[] = [];

/**
 * Makes a call's context. It is a plain object with properties of its own, since middleware copy it
 * with `...context`; what costs something is made behind them when it is used: metadata here, and
 * the insides of an AbortController by Node.
 */
export function createContext({ head, connection, arrivedAt, abort, sendHeader }: ContextDeps) {
  const { authority, fields, timeout } = head;
  const controller = new AbortController();
  const header = new LazyMetadata(noFields);
  const trailer = new LazyMetadata(noFields);
  const context: EngineContext = {
    metadata: new LazyMetadata(fields),
    peer: connection.peer,
    header,
    sendHeader,
    trailer,
    signal: controller.signal,
    deadline: timeout === undefined ? undefined : arrivedAt() + timeout,
    authority,
    connection,
    abort,
  };
  return { context, controller, header, trailer };
}
