import type { Logger } from 'pino';
import { show } from '../engine/errors.ts';

/**
 * Logs a thrown value at `error`, as `err`. A value that cannot be a field, such as a frozen error, is formatted as
 * text.
 */
export function logThrown(
  log: Pick<Logger, 'error'>,
  thrown: unknown,
  { message, ...fields }: { readonly message: string; readonly [field: string]: unknown },
): void {
  try {
    // JSON omits undefined and symbols, and the line would lack its cause.
    const err = typeof thrown === 'object' || typeof thrown === 'string' ? thrown : show(thrown);
    log.error({ ...fields, err }, message);
  } catch {
    log.error({ ...fields, err: { message: show(thrown) } }, message);
  }
}
