import { randomInt } from 'node:crypto';

/** Seeded random numbers. */
export interface Random {
  /** An integer from 0 to `limit` - 1. */
  below: (limit: number) => number;
  /** True once in so many times. */
  oneIn: (times: number) => boolean;
  pick: <T>(from: readonly [T, ...T[]]) => T;
  /** Up to `longest` characters of the alphabet, by default U+0000 to U+00FF. */
  text: (longest: number, alphabet?: string) => string;
}

/** Runs a test with a random seed, which is reported on failure. */
export async function withRandom(
  run: (random: Random) => void | Promise<void>,
  seed = randomInt(2 ** 31),
): Promise<void> {
  try {
    await run(createRandom(seed));
  } catch (error) {
    throw new Error(`failed with the seed ${seed}`, { cause: error });
  }
}

/** Mulberry32. */
export function createRandom(seed: number): Random {
  let state = seed;
  return {
    below,
    oneIn: (times) => below(times) === 0,
    pick: (from) => from[below(from.length)] ?? from[0],
    text: (longest, alphabet) =>
      Array.from({ length: below(longest + 1) }, () =>
        alphabet === undefined
          ? String.fromCharCode(below(256))
          : alphabet.charAt(below(alphabet.length)),
      ).join(''),
  };

  function below(limit: number): number {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((((mixed ^ (mixed >>> 14)) >>> 0) * limit) / 2 ** 32) | 0;
  }
}
