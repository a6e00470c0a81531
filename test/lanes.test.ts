import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';

const start = `set -euo pipefail
source ${join(import.meta.dirname, '../.ci/lanes.sh')}
wait_for() { timeout 10 sh -c 'until [ -e $0 ]; do sleep 0.05; done' "$1"; }
export -f wait_for`;

/** Runs these lines in an empty folder; they have `wait_for FILE`, which gives up after ten seconds. */
async function run(t: TestContext, ...lines: string[]) {
  const cwd = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  const child = spawn('bash', ['-c', [start, ...lines].join('\n')], { cwd });
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { code, out, err, cwd };
}

/** Ends of itself in ten minutes. */
const patient = 'patient() { step bash -c "echo \\$\\$ >pid; sleep 600 & wait"; echo never; }';

test('each step of a lane prints all of its output at once, when it ends', async (t) => {
  const { code, out } = await run(
    t,
    'one() { step bash -c "echo one; touch begun; wait_for ended; echo one"; }',
    'two() { step bash -c "wait_for begun; echo two"; touch ended; }',
    'beside one',
    'beside two',
    'until_all',
    'step echo three',
  );

  assert.equal(code, 0);
  const said = out.split('\n').filter((line) => /^(one|two|three)$/.test(line));
  assert.deepEqual(said, ['two', 'one', 'one', 'three']);
});

test('a failed step ends all lanes, and is named with its output', async (t) => {
  const { code, out, err, cwd } = await run(
    t,
    patient,
    'failing() { step wait_for pid; step bash -c "echo because; exit 3"; echo never; }',
    'beside patient',
    'beside failing',
    'until_all',
    'echo never',
  );

  assert.equal(code, 3);
  assert.match(out, /^== failing: bash -c .*\nbecause\n/m);
  assert.match(err, /^== failed: failing, with exit code 3 /m);
  assert.doesNotMatch(out, /^never$/m);
  assertEnded(cwd);
});

test('a script waits for a lane by its name, and for the others later', async (t) => {
  const { code, out, cwd } = await run(
    t,
    'one() { step wait_for begun; }',
    'beside one',
    'beside two step bash -c "wait_for ended && touch all"',
    'touch begun',
    'until_ended one',
    'touch ended',
    'until_all',
  );

  assert.equal(code, 0, out);
  assert.match(out, /^== one begins: wait_for begun [^]*^== two: bash -c /m);
  assert.ok(existsSync(join(cwd, 'all')));
});

test('a lane that fails ends a script that waits for another', async (t) => {
  const { code, err, cwd } = await run(
    t,
    patient,
    'beside patient',
    'beside failing step bash -c "wait_for pid; exit 3"',
    'until_ended patient',
    'echo never',
  );

  assert.equal(code, 3);
  assert.match(err, /^== failed: failing, with exit code 3 /m);
  assertEnded(cwd);
});

test('a script that is terminated terminates its lanes', async (t) => {
  const lines = [patient, 'beside patient', 'wait_for pid', 'kill -TERM $$', 'until_all'];
  const { code, out, cwd } = await run(t, ...lines);

  assert.equal(code, 1);
  assert.doesNotMatch(out, /^never$/m);
  assertEnded(cwd);
});

function assertEnded(folder: string): void {
  const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'));
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
}
