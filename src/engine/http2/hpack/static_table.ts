/** A table entry, one character per octet. */
export interface Field {
  readonly name: string;
  readonly value: string;
}

/** RFC 7541 appendix A; the first entry has index 1. */
export const staticTable: readonly Field[] = (
  [
    [':authority', ''],
    [':method', 'GET'],
    [':method', 'POST'],
    [':path', '/'],
    [':path', '/index.html'],
    [':scheme', 'http'],
    [':scheme', 'https'],
    [':status', '200'],
    [':status', '204'],
    [':status', '206'],
    [':status', '304'],
    [':status', '400'],
    [':status', '404'],
    [':status', '500'],
    ['accept-charset', ''],
    ['accept-encoding', 'gzip, deflate'],
    ['accept-language', ''],
    ['accept-ranges', ''],
    ['accept', ''],
    ['access-control-allow-origin', ''],
    ['age', ''],
    ['allow', ''],
    ['authorization', ''],
    ['cache-control', ''],
    ['content-disposition', ''],
    ['content-encoding', ''],
    ['content-language', ''],
    ['content-length', ''],
    ['content-location', ''],
    ['content-range', ''],
    ['content-type', ''],
    ['cookie', ''],
    ['date', ''],
    ['etag', ''],
    ['expect', ''],
    ['expires', ''],
    ['from', ''],
    ['host', ''],
    ['if-match', ''],
    ['if-modified-since', ''],
    ['if-none-match', ''],
    ['if-range', ''],
    ['if-unmodified-since', ''],
    ['last-modified', ''],
    ['link', ''],
    ['location', ''],
    ['max-forwards', ''],
    ['proxy-authenticate', ''],
    ['proxy-authorization', ''],
    ['range', ''],
    ['referer', ''],
    ['refresh', ''],
    ['retry-after', ''],
    ['server', ''],
    ['set-cookie', ''],
    ['strict-transport-security', ''],
    ['transfer-encoding', ''],
    ['user-agent', ''],
    ['vary', ''],
    ['via', ''],
    ['www-authenticate', ''],
  ] as const
).map(([name, value]) => ({ name, value }));

interface StaticName {
  readonly index: number;
  /** The index of each value of the name. */
  readonly values: Map<string, number>;
}

const names = new Map<string, StaticName>();
staticTable.forEach(({ name, value }, at) => {
  const known = names.get(name) ?? { index: at + 1, values: new Map<string, number>() };
  names.set(name, known);
  known.values.set(value, at + 1);
});

/** The lowest index of a name, or 0 if it has none. */
export function staticNameIndex(name: string): number {
  return names.get(name)?.index ?? 0;
}

/** The index of a field, or 0 if it has none. */
export function staticIndex(name: string, value: string): number {
  return names.get(name)?.values.get(value) ?? 0;
}
