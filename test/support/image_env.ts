import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The environment of the image for Node. The heap is a fraction of the memory that Node detects, or of so many MiB,
 * as this machine may have more.
 */
export function imageEnv(memoryMiB?: number): Record<string, string> {
  const dockerfile = readFileSync(join(import.meta.dirname, '../../Dockerfile'), 'utf8');
  const all = [...dockerfile.matchAll(/([A-Z_]+)=("[^"]*"|\S+)/g)].map(([, name, value = '']) => [
    name,
    value.replaceAll('"', ''),
  ]);
  const { NODE_OPTIONS = '', ...env } = Object.fromEntries(
    all.filter(([name]) => name === 'NODE_OPTIONS' || name?.startsWith('MALLOC_')),
  );
  assert.match(NODE_OPTIONS, /--max-old-space-size-percentage=\d+ /);
  if (memoryMiB === undefined) return { ...env, NODE_OPTIONS };
  const options = NODE_OPTIONS.replace(/-percentage=(\d+)/, (_: string, part: string) => {
    return `=${Math.floor((memoryMiB * Number(part)) / 100)}`;
  });
  assert.match(options, /--max-old-space-size=\d+ /);
  return { ...env, NODE_OPTIONS: options };
}
