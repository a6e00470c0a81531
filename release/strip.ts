import { spawnSync } from 'node:child_process';
import { platformHere } from './platforms.ts';

/** Whether we can take the symbols out of a platform's programs: those of macOS are signed with them. */
export function canStrip(platform: string): boolean {
  return platform.startsWith('linux-');
}

/** Takes symbols and debug information out of a program of Linux: a fifth of Node's bytes. */
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

/** GNU's strip knows this machine alone; that for another has its name. */
function toolsFor(platform: string): readonly string[] {
  const machine = platform === 'linux-arm64' ? 'aarch64' : 'x86_64';
  const others = [`${machine}-linux-gnu-strip`, 'llvm-strip'];
  return platform === platformHere() ? ['strip', ...others] : others;
}
