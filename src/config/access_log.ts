/** Which calls are logged; see middleware/request_log.ts. */
type AccessLog = 'all' | 'errors' | 'off' | { readonly oneIn: number };

const most = 1_000_000;

/** Parses `all`, `errors`, `off` or `1/N`; throws a RangeError. */
export function accessLog(text: string): AccessLog {
  if (text === 'all' || text === 'errors' || text === 'off') return text;
  const oneIn = Number(/^1\/(?<count>[1-9]\d*)$/.exec(text)?.groups?.['count']);
  if (oneIn <= most) return { oneIn };
  throw new RangeError(`must be all, errors, off, or 1/N with N from 1 to ${most}`);
}
