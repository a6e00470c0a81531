import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Platform } from './platforms.ts';

/**
 * The path of a platform's Node: what `npm ci` has installed, or else the same version from the
 * registry, in the folder given. Throws when that is not what the lockfile has.
 */
export function nodeOf(platform: Platform, folder: string): string {
  const installed = join('node_modules', platform.package, platform.bin);
  return existsSync(installed) ? installed : join(fetched(platform, folder), platform.bin);
}

function fetched({ package: name, version, integrity }: Platform, folder: string): string {
  const flags = ['--json', '--ignore-scripts', '--pack-destination', folder];
  const packed = execFileSync('npm', ['pack', `${name}@${version}`, ...flags], {
    encoding: 'utf8',
    // npm lists the thousand files of the package there.
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
