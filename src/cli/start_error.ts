import { inspect } from 'node:util';
import { UsageError } from '../config.ts';
import { ListenError } from '../transport/listen.ts';
import type { Args, Io } from './command.ts';

/**
 * Says on standard error why the server has not started, and gives the exit code: 2 for wrong settings, else
 * 1. Where the log is JSON this is a line of it: what gathers the log of a container takes both streams.
 */
export function reportStartError(error: unknown, { flags }: Args, io: Io): number {
  const isUsage = error instanceof UsageError;
  io.error(logsJson({ flags }, io) ? jsonLine(error) : textOf(error));
  return isUsage ? 2 : 1;
}

/** Other settings may be wrong, and this one too: then it is as if it had not been set. */
function logsJson({ flags }: Pick<Args, 'flags'>, { env, isTerminal }: Io): boolean {
  const format = flags['log-format'] ?? env['GREETER_LOG_FORMAT'];
  return format === 'json' || (format !== 'human' && !isTerminal);
}

/** As observability/log.ts writes one. */
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
