import type { Io } from './command.ts';

/** The output of `--version`. */
export function versionLine({ version, commit }: Pick<Io, 'version' | 'commit'>): string {
  return `greeter ${version}${commit && ` (${commit})`}\n`;
}
