import type { Logger } from 'pino';
import { show } from '../engine/errors.ts';

/**
 * Writes a line at `error` with what was thrown as `err`. That may be anything: what cannot be a field,
 * such as a frozen error, is told in words.
 */
export function logThrown(
  log: Pick<Logger, 'error'>,
  thrown: unknown,
  { message, ...fields }: { readonly message: string; readonly [field: string]: unknown },
): void {
  try {
    // JSON has no word for undefined or a symbol, and the line would have no cause.
    const err = typeof thrown === 'object' || typeof thrown === 'string' ? thrown : show(thrown);
    log.error({ ...fields, err }, message);
  } catch {
    log.error({ ...fields, err: { message: show(thrown) } }, message);
  }
}
