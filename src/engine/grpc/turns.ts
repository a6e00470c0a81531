/**
 * Lets at most so many works go on at once; the others wait. Who waits is taken in turn: the next work of
 * each `owner`, however many one of them has. What the work throws comes out where it was asked for.
 */
export function createTurns(
  most: number,
): <T>(owner: object, work: () => Promise<T>) => Promise<T> {
  const waiting = new Map<object, (() => void)[]>();
  let going = 0;

  return async (owner, work) => {
    if (going < most) going++;
    else await wait(owner);
    try {
      return await work();
    } finally {
      const next = takeNext();
      if (next) next();
      else going--;
    }
  };

  function wait(owner: object): Promise<void> {
    return new Promise((resolve) => {
      const line = waiting.get(owner);
      if (line) line.push(resolve);
      else waiting.set(owner, [resolve]);
    });
  }

  function takeNext(): (() => void) | undefined {
    for (const [owner, line] of waiting) {
      const next = line.shift();
      // Behind all others.
      waiting.delete(owner);
      if (line.length > 0) waiting.set(owner, line);
      return next;
    }
    return undefined;
  }
}
