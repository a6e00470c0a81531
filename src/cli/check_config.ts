import { loadResolved } from '../config.ts';
import { shownUrl } from '../config/otel.ts';
import type { Complaint } from '../config/tracing.ts';
import type { Command } from './command.ts';
import { settingFlags } from './serve.ts';

/** Exits 0, or 2 with a UsageError. Warnings go to standard error. */
export const checkConfig: Command = {
  summary: 'Print the settings, or all of their errors',
  flags: settingFlags,
  examples: [
    ['check-config', 'Print the settings as JSON, in milliseconds and bytes'],
    ['check-config --drain-timeout 30s', 'Print them with a flag set'],
  ],
  async run(args, { env, capacity, write, error }) {
    const complain = ({ message, reason }: Complaint) => error(`${message}: ${reason}`);
    const config = await loadResolved({ ...args, env, memory: capacity().memory, complain });
    const json = JSON.stringify(config, show, 2);
    write(`${json}\n`);
    return 0;
  },
};

/**
 * JSON has no undefined, so a setting that is "none" becomes null. Headers and URLs may contain secrets and are
 * redacted.
 */
function show(key: string, value: unknown): unknown {
  if (key === 'url' && typeof value === 'string') return shownUrl(value);
  return key === 'headers' ? 'hidden' : (value ?? null);
}
