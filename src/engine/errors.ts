import { inspect } from 'node:util';
import { AbortError, isAbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';

/**
 * The status that a service threw on purpose, as a ServerError; undefined for anything else. Never throws, even if a
 * property of the thrown value does. An invalid code becomes UNKNOWN; details that are not a string are dropped.
 */
export function serverErrorStatus(thrown: unknown): { code: Status; details: string } | undefined {
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

/** True for an AbortError. Never throws. */
export function isAbort(thrown: unknown): boolean {
  try {
    return isAbortError(thrown);
  } catch {
    return false;
  }
}

/** The reason of an aborted call's signal; whyAborted() finds the error that ended the call. */
export function abortFor(error: unknown): AbortError {
  return Object.assign(new AbortError(), { cause: error });
}

/**
 * Replaces an AbortError by the ServerError that aborted the call's signal, if there is one, because code that waits
 * on a signal only throws the AbortError. Never throws.
 */
export function whyAborted(thrown: unknown, { aborted, reason }: AbortSignal): unknown {
  if (!aborted || !isAbort(thrown) || !(reason instanceof Error)) return thrown;
  return serverErrorStatus(reason.cause) ? reason.cause : thrown;
}

/** Formats a thrown value with its stack for the log. Never throws. */
export function show(thrown: unknown): string {
  try {
    return inspect(thrown);
  } catch {
    return 'what cannot be shown';
  }
}

/** Accepts numbers that gRPC does not name yet: clients decide what they mean. */
function isCode(code: unknown): boolean {
  return Number.isSafeInteger(code) && Number(code) >= 0;
}

interface FaultOptions extends ErrorOptions {
  /** The status code; INTERNAL by default. With a code, the message is sent to the caller as well. */
  code?: Status;
  /** The text for the log. Defaults to the message if `code` is omitted. */
  reason?: string;
}

/**
 * An INTERNAL (or similar) status that the caller causes, by violating the protocol or by asking for it. The log does
 * not report it as a server fault.
 */
export class ExpectedError extends ServerError {
  /** The text for the log, if it does not quote the caller. */
  readonly reason: string | undefined;

  constructor(message: string, { code, cause, reason }: FaultOptions = {}) {
    super(code ?? Status.INTERNAL, message);
    this.reason = reason ?? (code === undefined ? message : undefined);
    this.name = 'ExpectedError';
    if (cause !== undefined) this.cause = cause;
  }
}

/** RESOURCE_EXHAUSTED; the message names the limit in bytes. */
export function tooLarge(maxSize: number): ServerError {
  const message = `Cannot accept a message of more than ${maxSize} bytes`;
  return new ServerError(Status.RESOURCE_EXHAUSTED, message);
}

/** INTERNAL: the caller violates the protocol. */
export function malformed(what: string, options?: ErrorOptions): ExpectedError {
  return new ExpectedError(`Cannot accept ${what}`, options);
}
