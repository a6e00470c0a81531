/** Returns unique timestamps in nanoseconds since the epoch; `now` returns milliseconds. */
export function createTimestamps(now: () => number): () => bigint {
  let last = 0n;
  return () => {
    const time = BigInt(Math.round(now())) * 1_000_000n;
    last = time > last ? time : last + 1n;
    return last;
  };
}
