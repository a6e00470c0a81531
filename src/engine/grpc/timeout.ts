const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * Parses `grpc-timeout`: at most eight digits and a unit (PROTOCOL-HTTP2.md, Requests). Returns milliseconds, which
 * may be fractional or exceed the range of a timer; undefined if the value is invalid.
 */
export function parseTimeout(text: string): number | undefined {
  const unit = unitMs[text.charAt(text.length - 1)];
  if (unit === undefined || !/^\d{1,8}.$/.test(text)) return undefined;
  return Number(text.slice(0, -1)) * unit;
}
