import { inspect } from 'node:util';
import { UsageError } from '../config.ts';
import { ListenError } from '../transport/listen.ts';
import type { Args, Io } from './command.ts';

/**
 * Reports on standard error why the server did not start; returns the exit code: 2 for invalid settings, otherwise 1.
 * If the log format is JSON, the report is a JSON line, as log collectors read both streams of a container.
 */
export function reportStartError(error: unknown, { flags }: Args, io: Io): number {
  const isUsage = error instanceof UsageError;
  io.error(logsJson({ flags }, io) ? jsonLine(error) : textOf(error));
  return isUsage ? 2 : 1;
}

/** Settings may be invalid, this one as well: then its default applies. */
function logsJson({ flags }: Pick<Args, 'flags'>, { env, isTerminal }: Io): boolean {
  const format = flags['log-format'] ?? env['GREETER_LOG_FORMAT'];
  return format === 'json' || (format !== 'human' && !isTerminal);
}

/** In the format of observability/log.ts. */
function jsonLine(error: unknown): string {
  const head = { level: 'error', time: new Date().toISOString() };
  const msg = 'cannot start';
  if (error instanceof UsageError) {
    return JSON.stringify({ ...head, reason: error.problems.join('; '), msg });
  }
  if (error instanceof ListenError) return JSON.stringify({ ...head, reason: error.message, msg });
  const { message, stack } = error instanceof Error ? error : new Error(inspect(error));
  return JSON.stringify({ ...head, reason: message, err: { message, stack }, msg });
}

function textOf(error: unknown): string {
  const isMeant = error instanceof UsageError || error instanceof ListenError;
  return isMeant ? error.message : inspect(error);
}
