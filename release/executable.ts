import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempDisposableSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeOf } from './node.ts';
import type { Platform } from './platforms.ts';
import { canStrip, strip } from './strip.ts';

/** The maximum size of stripped executables. If the build exceeds it, find out what was added before raising it. */
const maxBytes = 124_000_000;

/** Options of an executable. */
export interface ExecutableOptions {
  /** The bundle. */
  main: string;
  platform: Platform;
  output: string;
  /**
   * True to include V8's code cache for a faster start, which can only be created on the same platform and is not
   * reproducible.
   */
  codeCache: boolean;
}

/** Combines the bundle with a platform's Node; returns the size in bytes. */
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
  // The flags of the image's NODE_OPTIONS, for the same reasons, and no debugger at SIGUSR1.
  execArgv: ['--max-old-space-size-percentage=60', '--max-semi-space-size=4', '--disable-sigusr1'],
  // Ignores NODE_OPTIONS and flags of Node.
  execArgvExtension: 'none',
};
