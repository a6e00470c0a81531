/** The origins whose pages may make calls; see web/cors.ts. */
type CorsOrigins = 'off' | '*' | readonly string[];

/** Parses `off`, `*` or a comma-separated list of origins; throws a RangeError. */
export function corsOrigins(text: string): CorsOrigins {
  if (text === 'off' || text === '*') return text;
  const origins = text.split(',').map((origin) => origin.trim());
  if (origins.every(isOrigin)) return origins;
  throw new RangeError(
    'must be off, *, or a comma-separated list of origins such as https://example.com',
  );
}

/** An origin as browsers send it: without a path and without a default port. */
function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}
