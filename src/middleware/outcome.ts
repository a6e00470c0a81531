import { Status } from 'nice-grpc-common';
import { isAbort, serverErrorStatus } from '../engine/errors.ts';

/** Marks a call that its caller ended, by cancellation or by deadline. */
export const callersEnd = Symbol('ended by the caller');

/** Marks a successful call, as undefined can be thrown. */
export const endedWell = Symbol('ended well');

/**
 * The status of a call for logs, metrics and traces: from what it threw, `callersEnd`, or `endedWell`. `late` matters
 * only if its caller ended it.
 */
export function codeOf(ended: unknown, late: boolean): Status {
  if (ended === endedWell) return Status.OK;
  const status = serverErrorStatus(ended);
  if (status) return status.code;
  if (ended !== callersEnd && !isAbort(ended)) return Status.UNKNOWN;
  return late ? Status.DEADLINE_EXCEEDED : Status.CANCELLED;
}

/** A caller's deadline expires slightly earlier than the server's copy of it, which starts when the call arrives. */
const headStartMs = 10;

/** True if the deadline has passed, at least for the caller; both are milliseconds on the same clock. */
export function isLate(deadline: number | undefined, now: number): boolean {
  return deadline !== undefined && now >= deadline - headStartMs;
}
