import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempDisposableSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeOf } from './node.ts';
import type { Platform } from './platforms.ts';
import { canStrip, strip } from './strip.ts';

/** Of those we strip. The build fails above it: raise it knowingly, or find out what has come in. */
const maxBytes = 124_000_000;

/** What an executable is made from. */
export interface ExecutableOptions {
  /** The bundle. */
  main: string;
  platform: Platform;
  output: string;
  /**
   * Whether it keeps what V8 makes of the bundle, for a faster start: only this very platform can
   * make that, and no two builds make the same bytes of it.
   */
  codeCache: boolean;
}

/** Makes a program of the bundle and a platform's Node; returns its size in bytes. */
export function buildExecutable({ main, platform, output, codeCache }: ExecutableOptions): number {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'greeter-'));
  const executable = join(folder.path, 'node');
  copyFileSync(nodeOf(platform, folder.path), executable);
  if (canStrip(platform.name)) strip(executable, platform.name);

  const config = join(folder.path, 'sea.json');
  const sea = { ...options, main, executable, output, useCodeCache: codeCache };
  writeFileSync(config, JSON.stringify(sea));
  execFileSync(process.execPath, ['--build-sea', config]);

  const { size } = statSync(output);
  if (canStrip(platform.name) && size > maxBytes) {
    throw new Error(`Cannot ship ${output}: ${size} bytes, at most ${maxBytes}`);
  }
  return size;
}

/** https://nodejs.org/api/single-executable-applications.html */
const options = {
  mainFormat: 'module',
  disableExperimentalSEAWarning: true,
  // What the image says in NODE_OPTIONS, with the reasons; and no debugger for who sends SIGUSR1.
  execArgv: ['--max-old-space-size-percentage=60', '--max-semi-space-size=4', '--disable-sigusr1'],
  // Nobody adds to them: not NODE_OPTIONS, not a flag.
  execArgvExtension: 'none',
};
