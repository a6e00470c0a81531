import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');
const files = globSync(
  ['package.json', '*.md', 'docs/*.md', '{.ci,image,release}/*', 'test/**/{run,*.check.ts}'],
  { cwd: root, exclude: ['**/*.test.ts'] },
);

test('every test run has --test-timeout', () => {
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

test('reading.mjs finds the tests that read a variable, also through imports and child processes', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const files = {
    'itself.test.ts': `process.env['ONE'];`,
    'by_import.test.ts': `import './helper.ts';`,
    'helper.ts': `fork(join(import.meta.dirname, 'process.ts'));`,
    'process.ts': `process.env['ONE'];`,
    'other.test.ts': `process.env['ONE_MORE'];`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const reading = (variable: string) =>
    spawnSync(process.execPath, [join(root, '.ci/reading.mjs'), variable, '*.test.ts'], {
      cwd: folder,
      encoding: 'utf8',
    });

  assert.equal(reading('ONE').stdout, 'by_import.test.ts\nitself.test.ts\n');
  const none = reading('TWO');
  assert.match(none.stderr, /Cannot choose tests: none reads "TWO"/);
  assert.equal(none.status, 1);
});
