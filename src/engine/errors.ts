import { inspect } from 'node:util';
import { AbortError, isAbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';

/**
 * The status that a service meant by what it threw; undefined where that is no ServerError. Never throws,
 * though what was thrown may, when it is looked at. A code that is none is UNKNOWN, and details that are no
 * text are left out.
 */
export function meantBy(thrown: unknown): { code: Status; details: string } | undefined {
  try {
    if (!(thrown instanceof ServerError)) return undefined;
    const { code, details } = thrown;
    return {
      code: isCode(code) ? code : Status.UNKNOWN,
      details: typeof details === 'string' ? details : '',
    };
  } catch {
    return undefined;
  }
}

/** Whether it says that somebody's work was aborted. Never throws. */
export function isAbort(thrown: unknown): boolean {
  try {
    return isAbortError(thrown);
  } catch {
    return false;
  }
}

/** What a call's signal aborts with; whyAborted() finds the error that ended the call. */
export function abortFor(error: unknown): AbortError {
  return Object.assign(new AbortError(), { cause: error });
}

/**
 * What a call ends with of which an abort was thrown: the ServerError that it was ended by, where its signal
 * has one, as whoever waits with a signal does not know that. Never throws.
 */
export function whyAborted(thrown: unknown, { aborted, reason }: AbortSignal): unknown {
  if (!aborted || !isAbort(thrown) || !(reason instanceof Error)) return thrown;
  return meantBy(reason.cause) ? reason.cause : thrown;
}

/** It in words, with its stack, as far as it can be shown. Never throws. */
export function show(thrown: unknown): string {
  try {
    return inspect(thrown);
  } catch {
    return 'what cannot be shown';
  }
}

/** Numbers that gRPC has not given a name yet are for clients to judge. */
function isCode(code: unknown): boolean {
  return Number.isSafeInteger(code) && Number(code) >= 0;
}

interface FaultOptions extends ErrorOptions {
  /** The one that the caller asks for, with this message; INTERNAL, if it is left out. */
  code?: Status;
  /** What the log says of it; the message, if `code` is left out. */
  reason?: string;
}

/**
 * INTERNAL, or another code that says we failed, though it is the caller who asks for it: by not keeping
 * to the protocol, or in so many words. The log does not take it for a fault of ours.
 */
export class ExpectedError extends ServerError {
  /** What the log says of it, if that is not in the caller's own words. */
  readonly reason: string | undefined;

  constructor(message: string, { code, cause, reason }: FaultOptions = {}) {
    super(code ?? Status.INTERNAL, message);
    this.reason = reason ?? (code === undefined ? message : undefined);
    this.name = 'ExpectedError';
    if (cause !== undefined) this.cause = cause;
  }
}

/** RESOURCE_EXHAUSTED that names the bound, in bytes. */
export function tooLarge(maxSize: number): ServerError {
  const message = `Cannot take a message of more than ${maxSize} bytes`;
  return new ServerError(Status.RESOURCE_EXHAUSTED, message);
}

/** INTERNAL: the caller does not keep to the protocol. */
export function broken(what: string, options?: ErrorOptions): ExpectedError {
  return new ExpectedError(`Cannot take ${what}`, options);
}
