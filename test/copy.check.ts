// The blocks of docs/copy.md, from a fresh clone to the end: node --test --test-timeout=900000 test/copy.check.ts
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { copyOfProject } from './support/project_copy.ts';

/** node_modules is linked already, git needs an author, and within a test run Node would skip others. */
const prelude = `set -euo pipefail
unset NODE_TEST_CONTEXT
npm() { [ "$1" = ci ] || command npm "$@"; }
export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@example.com GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@example.com
`;

function run(cwd: string, script: string) {
  const { status, stdout, stderr } = spawnSync('bash', ['-c', prelude + script], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.equal(status, 0, `${script}\n${stdout}${stderr}`);
  return stdout;
}

test('docs/copy.md creates a project whose types, lint and unit tests pass', (t) => {
  const folder = copyOfProject(t);
  const page = readFileSync(join(folder, 'docs/copy.md'), 'utf8');
  const blocks = [...page.matchAll(/^```sh\n([^]*?)\n```$/gm)].map(([, block = '']) => block);
  run(folder, "git init --quiet && git add . && git commit --quiet --message 'the template'");

  for (const block of blocks) {
    const before = performance.now();
    run(folder, block);
    t.diagnostic(`${Math.round((performance.now() - before) / 1000)} s: ${block.split('\n')[0]}`);
  }

  assert.ok(blocks.length >= 7);
  assert.equal(run(folder, 'git status --porcelain'), '');
  const node = process.execPath;
  const tests = 'test/{dockerfile,manifests}.test.ts test/{serve,stop}.e2e.test.ts';
  run(folder, `${node} --test --test-timeout=300000 ${tests}`);
  const help = run(folder, `${node} dist/todo.mjs serve --help && ${node} dist/todo.mjs --help`);
  assert.match(help, /TODO_LISTEN/);
  assert.doesNotMatch(help, /greeter|guide|parrot/i);
  const deleted = /foreign\/run|image\/foreign|(?:copy|own_client|interop|clients)\.(?:md|check)/;
  assert.doesNotMatch(run(folder, 'cat .ci/* docs/README.md'), deleted);
  const files =
    'src/config.ts src/main.ts src/services.ts src/app* Dockerfile k8s docs/{README,commands,settings,kubernetes,operate}.md';
  const names = `git grep -liE "guides?\\b|interop|\\b9999\\b" -- ${files}`;
  assert.equal(run(folder, `${names} || true`), '');
});
