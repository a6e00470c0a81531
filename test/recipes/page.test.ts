import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { copyOfProject } from '../support/project_copy.ts';

/** Follows a section of docs/recipes.md in a copy of the project; node_modules is linked already. */
function follow(folder: string, heading: string): void {
  const page = readFileSync(join(folder, 'docs/recipes.md'), 'utf8');
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const blocks = (language: string) =>
    [...section.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))].map(
      ([, block = '']) => block,
    );
  run(folder, `npm() { :; }\n${blocks('sh').join('')}`);
  const [imports = '', link = ''] = blocks('ts');
  const file = join(folder, 'src/transport/server.ts');
  const before = readFileSync(file, 'utf8');
  const end = /(?<=^ *const limited = [^;]*)(?=;\n)/m;
  assert.match(before, end);
  writeFileSync(file, imports + before.replace(end, () => `\n${link.trimEnd()}`));
}

function run(cwd: string, script: string): void {
  const { status, stdout, stderr } = spawnSync('sh', ['-euc', script], {
    cwd,
    // Within a test run, Node would skip others.
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    encoding: 'utf8',
  });
  assert.equal(status, 0, `${script}\n${stdout}${stderr}`);
}

const tools = 'PATH=$PWD/node_modules/.bin:$PATH';
/** Parallel checkers take twice the processor time, and a second check of the same folder needs only what has changed. */
const tsc = 'tsc --singleThreaded --incremental --tsBuildInfoFile .tsbuildinfo';

test('docs/recipes.md adds tokens without errors of types, of unused files or of imports', (t) => {
  const folder = copyOfProject(t);

  follow(folder, 'Callers with a token');

  run(folder, `${tools}; ${tsc} && knip && oxfmt --check src`);
  run(folder, `'${process.execPath}' --test --test-timeout=60000 test/architecture.test.ts`);
});

test('docs/recipes.md adds client certificates, and tokens as well, without errors of types', (t) => {
  const folder = copyOfProject(t);

  follow(folder, 'Callers with a certificate');
  run(folder, `${tools}; ${tsc}`);
  follow(folder, 'Callers with a token');
  run(folder, `${tools}; ${tsc} && oxfmt --check src`);
});
