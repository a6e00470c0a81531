import { inspect } from 'node:util';
import { isAbortError } from 'abort-controller-x';
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
