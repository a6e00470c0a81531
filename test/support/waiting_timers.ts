/** The longest delay of a timer in milliseconds; Node fires longer ones at once. */
const longest = 2 ** 31 - 1;

/** Tracks the timers that wait, of those set from now on. `onTooLong` is called for a delay that Node cannot have. */
export function trackTimers(onTooLong: (ms: number) => void): ReadonlySet<object> {
  const waiting = new Set<object>();
  const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
  const forget = (timer: NodeJS.Timeout | undefined) => {
    if (timer !== undefined) waiting.delete(timer);
  };
  // Mocks would keep every call.
  Object.assign(globalThis, {
    setTimeout(task: () => void, ms = 0) {
      if (ms > longest) onTooLong(ms);
      const timer = setTimeout(() => {
        waiting.delete(timer);
        task();
      }, ms);
      waiting.add(timer);
      return timer;
    },
    setInterval(task: () => void, ms?: number) {
      const timer = setInterval(task, ms);
      waiting.add(timer);
      return timer;
    },
    clearTimeout(timer: NodeJS.Timeout | undefined) {
      forget(timer);
      clearTimeout(timer);
    },
    clearInterval(timer: NodeJS.Timeout | undefined) {
      forget(timer);
      clearInterval(timer);
    },
  });
  return waiting;
}
