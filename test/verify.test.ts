import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

/** A repository with these scripts, in which `npm run verify` runs. */
function verifyIn(t: TestContext, scripts: { generate: string; check: string; lint: string }) {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  copyFileSync(join(import.meta.dirname, '../verify.mjs'), join(folder, 'verify.mjs'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ scripts }));
  for (const each of ['src/gen', 'test/conformance/gen', 'test/echo/gen']) {
    mkdirSync(join(folder, each), { recursive: true });
    writeFileSync(join(folder, each, 'known.ts'), '');
  }
  execFileSync('git', ['init', '--quiet'], { cwd: folder });
  execFileSync('git', ['add', '.'], { cwd: folder });
  return spawnSync(process.execPath, ['verify.mjs'], { cwd: folder, encoding: 'utf8' });
}

test('verify runs every check before it fails, and names the failed ones', (t) => {
  const { status, stdout, stderr } = verifyIn(t, {
    generate: 'echo generated',
    check: 'echo checked; exit 2',
    lint: 'echo one; false && echo two',
  });

  assert.equal(status, 1);
  assert.deepEqual(
    stdout.split('\n').filter((line) => !line.startsWith('>')),
    ['generated', 'checked', 'one', 'two', ''],
  );
  assert.equal(stderr, 'verify: failed: echo checked; exit 2\nverify: failed: echo one; false\n');
});

test('verify finds generated files that are new, changed or deleted, and says what to do', (t) => {
  const { status, stderr } = verifyIn(t, {
    generate: 'echo > src/gen/known.ts; echo > src/gen/new.ts; rm test/conformance/gen/known.ts',
    check: 'true',
    lint: 'true',
  });

  assert.equal(status, 1);
  assert.equal(
    stderr,
    'verify: failed: git has other files than `npm run generate` makes; ' +
      'commit src/gen/known.ts test/conformance/gen/known.ts src/gen/new.ts\n',
  );
});

test('verify passes if nothing is wrong', (t) => {
  const { status, stderr } = verifyIn(t, { generate: 'true', check: 'true', lint: 'true && true' });

  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
});
