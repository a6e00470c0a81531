/** What is given in place of the defaults, where it is given: undefined leaves one as it is. */
export type Given<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** The defaults, and what is given in place of some. */
export function withDefaults<T extends object>(defaults: T, given: Given<T> = {}): T {
  const merged = { ...defaults };
  for (const name in given) {
    const value = given[name];
    if (value !== undefined) merged[name] = value;
  }
  return merged;
}
