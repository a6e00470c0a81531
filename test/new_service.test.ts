import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { copyOfProject } from './support/project_copy.ts';

/** Runs a command in a copy of the project. */
function run(cwd: string, command: string) {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], {
    cwd,
    // Within a test run, Node would skip others.
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    encoding: 'utf8',
  });
  return { status, out: stdout, err: stderr };
}

test('new:service writes a service that passes types, lint and its own test', (t) => {
  const folder = copyOfProject(t);
  const readmeFile = join(folder, 'README.md');
  // A copy of the project may have none yet.
  if (!/^\| service /m.test(readFileSync(readmeFile, 'utf8'))) {
    appendFileSync(readmeFile, '\n| service | methods | what |\n| - | - | - |\n');
  }

  const written = run(folder, 'npm run --silent new:service shop.v1beta1.LineItemService');

  assert.deepEqual([written.status, written.err], [0, '']);
  const files = ['src/services/line_item.ts', 'src/services/line_item.test.ts'];
  for (const command of [
    'tsc --singleThreaded',
    `oxlint src/services.ts ${files.join(' ')}`,
    `oxfmt --check src/services.ts README.md ${files.join(' ')}`,
    'buf lint && buf format --diff --exit-code',
    `node --test --test-timeout=60000 ${files[1]}`,
  ]) {
    const { status, out, err } = run(folder, `PATH=node_modules/.bin:$PATH; ${command}`);
    assert.equal(status, 0, `${command}: ${out}${err}`);
  }
  assert.match(
    readFileSync(readmeFile, 'utf8'),
    /^\| `shop\.v1beta1\.LineItemService` +\| `GetLineItem` /m,
  );
});

test('new:service rejects an invalid or existing name, and writes nothing', (t) => {
  const folder = copyOfProject(t);
  const none = 'must be PACKAGE.VERSION.NAMEService, such as todo.v1.TodoService';
  const refused = {
    '': `"" ${none}`,
    'todo.TodoService': `"todo.TodoService" ${none}`,
    'todo.v1.Todo': `"todo.v1.Todo" ${none}`,
    'todo.v1.todoService': `"todo.v1.todoService" ${none}`,
    'todo.v1.TodoService more': `"todo.v1.TodoService more" ${none}`,
    'my.v1.HealthService':
      '"my.v1.HealthService" has to be new, and is in src/services/health.ts, src/services/health.test.ts',
  };
  run(folder, 'git init --quiet && git add .');

  for (const [args, reason] of Object.entries(refused)) {
    const { status, out, err } = run(folder, `npm run --silent new:service ${args}`);
    assert.deepEqual(
      { status, out, err },
      { status: 2, out: '', err: `Cannot write this service: ${reason}\n` },
    );
  }
  assert.equal(run(folder, 'git status --porcelain | grep -v "^A "').out, '');
});
