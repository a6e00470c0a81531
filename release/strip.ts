import { spawnSync } from 'node:child_process';
import { platformHere } from './platforms.ts';

/** True if symbols can be removed; on macOS, the signature covers them. */
export function canStrip(platform: string): boolean {
  return platform.startsWith('linux-');
}

/** Removes symbols and debug information from a Linux program: a fifth of Node's bytes. */
export function strip(file: string, platform: string): void {
  const tools = toolsFor(platform);
  for (const tool of tools) {
    const { error, status, stderr } = spawnSync(tool, ['--strip-all', file], { encoding: 'utf8' });
    if (error) continue;
    if (status === 0) return;
    throw new Error(`Cannot strip Node: ${tool} says "${stderr.trim()}"`);
  }
  throw new Error(`Cannot strip Node: needs ${tools.join(' or ')}`);
}

/** GNU strip supports one architecture; the one for another has its name. */
function toolsFor(platform: string): readonly string[] {
  const machine = platform === 'linux-arm64' ? 'aarch64' : 'x86_64';
  const others = [`${machine}-linux-gnu-strip`, 'llvm-strip'];
  return platform === platformHere() ? ['strip', ...others] : others;
}
