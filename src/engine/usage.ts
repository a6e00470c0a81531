import type { Placed, UnorderedSet } from './unordered_set.ts';

/** Resources with a limit that all peers of a server share. */
export interface Limited {
  /** Bytes of all categories except `connections`. */
  bytes: number;
  /** Open calls, except those that are exempt from limits. */
  calls: number;
  /** Open streams. */
  streams: number;
}

/** What a peer or a connection uses of them. */
export class Usage implements Limited, Placed {
  slot = -1;
  bytes = 0;
  calls = 0;
  streams = 0;
}

/** The one that uses the most of a resource. */
export function largest<T extends Usage>(
  usages: UnorderedSet<T>,
  limited: keyof Limited,
): T | undefined {
  let top: T | undefined;
  for (const usage of usages.all()) {
    if (!top || usage[limited] > top[limited]) top = usage;
  }
  return top;
}
