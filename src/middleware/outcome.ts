import { isAbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';

/** Stands for a call that its caller ended, by cancelling it or by the caller's deadline. */
export const callersEnd = Symbol('ended by the caller');

/**
 * The status a call ends with, for all who report it: from what it threw, `callersEnd`, or undefined
 * where it ended well. Whether it is late matters only to a call that its caller ended.
 */
export function codeOf(ended: unknown, late: boolean): Status {
  if (ended === undefined) return Status.OK;
  if (ended instanceof ServerError) return ended.code;
  if (ended !== callersEnd && !isAbortError(ended)) return Status.UNKNOWN;
  return late ? Status.DEADLINE_EXCEEDED : Status.CANCELLED;
}

/**
 * A caller whose own time is over cancels a little before we would: its clock started when it sent
 * the call, ours when the call came in.
 */
const headStartMs = 10;

/** Whether a call's time is over, for its caller at least; both in milliseconds since the epoch. */
export function isLate(deadline: number | undefined, now: number): boolean {
  return deadline !== undefined && now >= deadline - headStartMs;
}
