import type { Io } from './command.ts';

/** What `--version` prints. */
export function versionLine({ version, commit }: Pick<Io, 'version' | 'commit'>): string {
  return `greeter ${version}${commit && ` (${commit})`}\n`;
}
