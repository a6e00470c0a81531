/** Optional overrides of defaults; undefined keeps the default. */
export type Given<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** Merges overrides into defaults. */
export function withDefaults<T extends object>(defaults: T, given: Given<T> = {}): T {
  const merged = { ...defaults };
  for (const name in given) {
    const value = given[name];
    if (value !== undefined) merged[name] = value;
  }
  return merged;
}
