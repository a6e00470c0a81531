/** Nanoseconds per unit of Go; both characters that look like a Greek mu mean micro. */
const units: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 6e10,
  h: 3.6e12,
};
/** Go counts nanoseconds in 63 bits. */
const longest = 2 ** 63;

/** Parses a duration like Go's time.ParseDuration; returns milliseconds. Throws a RangeError. */
export function parseGoDuration(text: string): number {
  const { sign, parts = '' } =
    /^(?<sign>[-+]?)(?<parts>0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$/.exec(text)?.groups ??
    {};
  const ns = parts.matchAll(/(?<count>[\d.]+)(?<unit>[a-zµμ]+)/g).reduce((sum, { groups }) => {
    return sum + Number(groups?.['count']) * (units[groups?.['unit'] ?? ''] ?? Number.NaN);
  }, 0);
  if (parts === '' || !(ns < longest)) {
    throw new RangeError('must be a duration such as 250ms, 5s or 1m30s');
  }
  return (sign === '-' ? -ns : ns) / 1e6;
}

/** Formats milliseconds, from 0 up, like Go's time.Duration: `1m30s`, `2.5ms`. */
export function formatGoDuration(ms: number): string {
  const ns = Math.round(ms * 1e6);
  if (ns === 0) return '0s';
  if (ns < 1e3) return `${ns}ns`;
  if (ns < 1e6) return `${ns / 1e3}µs`;
  if (ns < 1e9) return `${ns / 1e6}ms`;
  const [hours, minutes] = [Math.floor(ns / 3.6e12), Math.floor(ns / 6e10) % 60];
  const seconds = `${(ns % 6e10) / 1e9}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
