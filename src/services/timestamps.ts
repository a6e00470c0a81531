/** Gives the time in nanoseconds since the epoch, never the same twice; `now` is in milliseconds. */
export function createTimestamps(now: () => number): () => bigint {
  let last = 0n;
  return () => {
    const time = BigInt(Math.round(now())) * 1_000_000n;
    last = time > last ? time : last + 1n;
    return last;
  };
}
