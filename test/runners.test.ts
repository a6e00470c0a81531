import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');
const files = globSync(
  ['package.json', '*.md', 'docs/*.md', '{.ci,image,release}/*', 'test/**/{run,*.check.ts}'],
  { cwd: root, exclude: ['**/*.test.ts'] },
);

test('no run of tests can go on for ever: wherever one is begun it has --test-timeout', () => {
  const runs = files.flatMap((file) => {
    const lines = readFileSync(join(root, file), 'utf8').split('\n');
    return lines
      .filter((line) => /(?<![-\w])--test(?![-\w])/.test(line))
      .map((line) => `${file}: ${line.trim()}`);
  });

  assert.ok(runs.some((each) => each.startsWith('package.json: "test"')));
  assert.deepEqual(
    runs.filter((each) => !each.includes('--test-timeout=')),
    [],
  );
});
