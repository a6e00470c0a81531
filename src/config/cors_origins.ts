/** Which pages may call; see web/cors.ts. */
type CorsOrigins = 'off' | '*' | readonly string[];

/** Reads `off`, `*` or a list of origins with commas; throws a RangeError. */
export function corsOrigins(text: string): CorsOrigins {
  if (text === 'off' || text === '*') return text;
  const origins = text.split(',').map((origin) => origin.trim());
  if (origins.every(isOrigin)) return origins;
  throw new RangeError('must be off, *, or origins such as https://example.com, with commas');
}

/** As browsers write it: no path, and no port that is the default. */
function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}
