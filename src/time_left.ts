import type { Timed } from './context.ts';

/**
 * How long a call may still take, in milliseconds, 0 when its time is over; undefined when it has all
 * the time it wants. For what a handler asks of others: they need not go on when nobody waits for it.
 */
export function timeLeft(
  { deadline }: Timed,
  now: () => number = performance.now.bind(performance),
): number | undefined {
  return deadline === undefined ? undefined : Math.max(0, deadline - now());
}
