import { AbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';
import { ExpectedError, show } from '../errors.ts';
import { ConnectionError, ErrorCode, type StreamError } from '../http2/errors.ts';

/** The reason why a call ends. Its consequences are in `reasons`, one entry each. */
export type EndReason = Returned | Cut;

/** The handler and the middleware have returned or thrown. All of their responses are sent. */
export interface Returned {
  readonly kind: 'finished' | 'threw';
  /** The thrown value, which may be undefined. */
  readonly error: unknown;
  readonly response: 'all';
}

/** Something else ends the call, whatever its state: its signal aborts, and pending reads and writes throw. */
export interface Cut {
  readonly kind:
    | 'refused'
    | 'malformed'
    | 'aborted'
    | 'deadline'
    | 'connection age'
    | 'evicted'
    | 'server shuts down'
    | 'server stops'
    | 'reset'
    | 'stream failed'
    | 'connection failed'
    | 'injected';
  /** The error that middleware see; it decides the status and the log line. */
  readonly error: Error;
  /** `what fits` sends the messages that fit into the peer's windows, then the status. `nothing` sends nothing. */
  readonly response: 'what fits' | 'nothing';
  /** True if it also ends a call whose status is decided and whose response is still being sent. */
  readonly isLate: boolean;
}

const finished: Returned = { kind: 'finished', error: undefined, response: 'all' };

/** All reasons. */
export const reasons = {
  /** OK. */
  finished,

  /** The thrown value, or the cut that caused it; see statusOf(). */
  threw(error: unknown): Returned {
    return { kind: 'threw', error, response: 'all' };
  },

  /** The call cannot be served, because of its headers or the state of the server. */
  refused(error: ServerError): Cut {
    return { kind: 'refused', error, response: 'what fits', isLate: true };
  },

  /** A request message is malformed or too large. */
  malformed(thrown: unknown): Cut {
    return { kind: 'malformed', error: errorOf(thrown), response: 'what fits', isLate: true };
  },

  /** The service or middleware called the context's abort(). */
  aborted(thrown: unknown): Cut {
    return { kind: 'aborted', error: errorOf(thrown), response: 'what fits', isLate: true };
  },

  /** The call is evicted in favour of others. */
  evicted(error: ServerError): Cut {
    return { kind: 'evicted', error, response: 'what fits', isLate: false };
  },

  /** DEADLINE_EXCEEDED. */
  deadline(): Cut {
    const error = new ServerError(Status.DEADLINE_EXCEEDED, 'Deadline exceeded');
    return { kind: 'deadline', error, response: 'what fits', isLate: true };
  },

  /** The grace period of its connection's maximum age ends within a second. */
  connectionAge(): Cut {
    const error = new ServerError(Status.UNAVAILABLE, 'Connection has reached its age');
    return { kind: 'connection age', error, response: 'what fits', isLate: true };
  },

  /** The server shuts down; responses in flight may still arrive. */
  serverShutsDown(): Cut {
    return {
      kind: 'server shuts down',
      error: shuttingDown(),
      response: 'what fits',
      isLate: false,
    };
  },

  /** The server closes its connections now. */
  serverStops(): Cut {
    return { kind: 'server stops', error: shuttingDown(), response: 'what fits', isLate: true };
  },

  /** CANCELLED: the caller has reset the stream or closed the connection. */
  reset(): Cut {
    return { kind: 'reset', error: new AbortError(), response: 'nothing', isLate: true };
  },

  /**
   * The server resets the stream because of a protocol error. The client maps the error code to a status
   * (PROTOCOL-HTTP2.md, HTTP2 Transport Mapping); the log has the reason.
   */
  streamFailed({ code, message: reason }: StreamError): Cut {
    const isTooMuch = code === ErrorCode.ENHANCE_YOUR_CALM;
    const status = isTooMuch ? Status.RESOURCE_EXHAUSTED : Status.INTERNAL;
    const error = new ExpectedError('Stream is reset', { code: status, reason });
    return { kind: 'stream failed', error, response: 'nothing', isLate: true };
  },

  /** The server closes the connection because of a protocol error. */
  connectionFailed({ message: reason }: ConnectionError): Cut {
    const error = new ExpectedError('Connection is closed', { code: Status.UNAVAILABLE, reason });
    return { kind: 'connection failed', error, response: 'nothing', isLate: true };
  },

  /** A fault that was asked for has ended the stream. */
  injected(error: ServerError): Cut {
    return { kind: 'injected', error, response: 'nothing', isLate: true };
  },

  /** Either a stream error or a connection error. */
  failed(error: StreamError | ConnectionError): Cut {
    if (error instanceof ConnectionError) return reasons.connectionFailed(error);
    return reasons.streamFailed(error);
  },
};

function shuttingDown(): ServerError {
  return new ServerError(Status.UNAVAILABLE, 'Server is shutting down');
}

function errorOf(thrown: unknown): Error {
  return isError(thrown) ? thrown : new Error(show(thrown));
}

/** `instanceof` may throw for a proxy. */
function isError(thrown: unknown): thrown is Error {
  try {
    return thrown instanceof Error;
  } catch {
    return false;
  }
}
