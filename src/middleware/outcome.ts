import { Status } from 'nice-grpc-common';
import { isAbort, meantBy } from '../engine/errors.ts';

/** Stands for a call that its caller ended, by cancelling it or by the caller's deadline. */
export const callersEnd = Symbol('ended by the caller');

/** Stands for a call that ended well: undefined can be thrown. */
export const endedWell = Symbol('ended well');

/**
 * The status a call ends with, for all who report it: from what it threw, `callersEnd`, or `endedWell`.
 * Whether it is late matters only to a call that its caller ended.
 */
export function codeOf(ended: unknown, late: boolean): Status {
  if (ended === endedWell) return Status.OK;
  const meant = meantBy(ended);
  if (meant) return meant.code;
  if (ended !== callersEnd && !isAbort(ended)) return Status.UNKNOWN;
  return late ? Status.DEADLINE_EXCEEDED : Status.CANCELLED;
}

/**
 * A caller whose own time is over cancels a little before we would: its clock started when it sent
 * the call, ours when the call came in.
 */
const headStartMs = 10;

/** Whether a call's time is over, for its caller at least; both in milliseconds on one clock. */
export function isLate(deadline: number | undefined, now: number): boolean {
  return deadline !== undefined && now >= deadline - headStartMs;
}
