import { AbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';
import { ExpectedError, show } from '../errors.ts';
import { ConnectionError, ErrorCode, type StreamError } from '../http2/errors.ts';

/** Why a call ends. What follows from it stands in `reasons`, a line for each. */
export type EndReason = Returned | Cut;

/** The handler has come to its end, and so have the middleware around it: all that they have given is sent. */
export interface Returned {
  readonly kind: 'finished' | 'threw';
  /** What was thrown: anything, undefined too. */
  readonly error: unknown;
  readonly response: 'all';
}

/** Somebody else ends the call, wherever it is: its signal aborts, and what its handler waits for throws. */
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
    | 'connection failed';
  /** Its status, and its line in the log: what the middleware see thrown. */
  readonly error: Error;
  /** `what fits`: what the peer's windows have room for, and the status, now. `nothing`: nobody is there. */
  readonly response: 'what fits' | 'nothing';
  /** Whether it ends a call whose status is decided, too, while the response is on its way. */
  readonly isLate: boolean;
}

const finished: Returned = { kind: 'finished', error: undefined, response: 'all' };

/** Every reason that there is. */
export const reasons = {
  /** OK. */
  finished,

  /** What was thrown, or what has cut the call where that is why; see statusOf(). */
  threw(error: unknown): Returned {
    return { kind: 'threw', error, response: 'all' };
  },

  /** It cannot be served, as its headers or the state of the server say. */
  refused(error: ServerError): Cut {
    return { kind: 'refused', error, response: 'what fits', isLate: true };
  },

  /** A message of its request is none, or cannot be taken. */
  malformed(thrown: unknown): Cut {
    return { kind: 'malformed', error: errorOf(thrown), response: 'what fits', isLate: true };
  },

  /** Its context's abort() was called. */
  aborted(thrown: unknown): Cut {
    return { kind: 'aborted', error: errorOf(thrown), response: 'what fits', isLate: true };
  },

  /** Its place was wanted for others. */
  evicted(error: ServerError): Cut {
    return { kind: 'evicted', error, response: 'what fits', isLate: false };
  },

  /** The time that its caller gave it is over. */
  deadline(): Cut {
    const error = new ServerError(Status.DEADLINE_EXCEEDED, 'Deadline exceeded');
    return { kind: 'deadline', error, response: 'what fits', isLate: true };
  },

  /** Its connection is dropped within a second. */
  connectionAge(): Cut {
    const error = new ServerError(Status.UNAVAILABLE, 'Connection has reached its age');
    return { kind: 'connection age', error, response: 'what fits', isLate: true };
  },

  /** The server shuts down; responses that are on their way may still arrive. */
  serverShutsDown(): Cut {
    return {
      kind: 'server shuts down',
      error: shuttingDown(),
      response: 'what fits',
      isLate: false,
    };
  },

  /** The server drops its connections now. */
  serverStops(): Cut {
    return { kind: 'server stops', error: shuttingDown(), response: 'what fits', isLate: true };
  },

  /** CANCELLED: its caller has reset it, or is gone. */
  reset(): Cut {
    return { kind: 'reset', error: new AbortError(), response: 'nothing', isLate: true };
  },

  /**
   * We have reset its stream for what the peer did, and its caller makes a status of the code
   * (PROTOCOL-HTTP2.md, HTTP2 Transport Mapping). The log has the reason.
   */
  streamFailed({ code, message: reason }: StreamError): Cut {
    const isTooMuch = code === ErrorCode.ENHANCE_YOUR_CALM;
    const status = isTooMuch ? Status.RESOURCE_EXHAUSTED : Status.INTERNAL;
    const error = new ExpectedError('Stream is reset', { code: status, reason });
    return { kind: 'stream failed', error, response: 'nothing', isLate: true };
  },

  /** The same for its connection. */
  connectionFailed({ message: reason }: ConnectionError): Cut {
    const error = new ExpectedError('Connection is closed', { code: Status.UNAVAILABLE, reason });
    return { kind: 'connection failed', error, response: 'nothing', isLate: true };
  },

  /** Either of the two. */
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

/** `instanceof` asks what was thrown, which may throw again. */
function isError(thrown: unknown): thrown is Error {
  try {
    return thrown instanceof Error;
  } catch {
    return false;
  }
}
