import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Platform } from './platforms.ts';

/**
 * The path of a platform's Node: installed by `npm ci`, or else downloaded from the registry to the given folder.
 * Throws if it differs from the lockfile.
 */
export function nodeOf(platform: Platform, folder: string): string {
  const installed = join('node_modules', platform.package, platform.bin);
  return existsSync(installed) ? installed : join(fetched(platform, folder), platform.bin);
}

function fetched({ package: name, version, integrity }: Platform, folder: string): string {
  const flags = ['--json', '--ignore-scripts', '--pack-destination', folder];
  const packed = execFileSync('npm', ['pack', `${name}@${version}`, ...flags], {
    encoding: 'utf8',
    // npm prints the thousand files of the package.
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ filename }] = JSON.parse(packed);
  const archive = join(folder, filename);
  const sha512 = createHash('sha512').update(readFileSync(archive)).digest('base64');
  if (integrity !== `sha512-${sha512}`) {
    throw new Error(`Cannot use "${name}@${version}": its archive must be the lockfile's`);
  }
  execFileSync('tar', ['-xzf', archive, '-C', folder]);
  return join(folder, 'package');
}
