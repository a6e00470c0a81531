import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { copyOfProject } from './support/project_copy.ts';

/** Where the lines of a block are inserted into a file that exists. */
const places: Readonly<Record<string, RegExp>> = {
  'src/app.ts': /(?<= deps: \{\n)/,
  'test/support/harness.ts': /(?<= deps: \{\n)(?= +\.\.\.settings)/,
  'src/config.ts': /(?<=^function readSettings[^]*?)(?=^ {2}\};\n)/m,
};

function write(folder: string, block: string): void {
  const [, name = '', text = ''] = /^\/\/ (\S+)\n([^]*)$/.exec(block) ?? [];
  const file = join(folder, name);
  const place = places[name];
  if (!place) return writeFileSync(file, text);
  const before = readFileSync(file, 'utf8');
  assert.match(before, place, name);
  const [imports, lines] = splitImports(text);
  writeFileSync(file, imports + before.replace(place, () => lines));
}

function splitImports(text: string): [imports: string, lines: string] {
  const lines = text.split(/(?<=\n)/);
  const isImport = (line: string) => line.startsWith('import ');
  return [lines.filter(isImport).join(''), lines.filter((line) => !isImport(line)).join('')];
}

function run(cwd: string, script: string): void {
  const path = `${join(cwd, 'node_modules/.bin')}:${process.env['PATH']}`;
  const { status, stdout, stderr } = spawnSync('sh', ['-euc', script], {
    cwd,
    // Within a test run, Node would skip others.
    env: { ...process.env, PATH: path, NODE_TEST_CONTEXT: undefined },
    encoding: 'utf8',
  });
  assert.equal(status, 0, `${script}\n${stdout}${stderr}`);
}

test('docs/services.md makes a service whose types, lint and tests pass', (t) => {
  const folder = copyOfProject(t);
  const page = readFileSync(join(folder, 'docs/services.md'), 'utf8');
  const blocks = [...page.matchAll(/^```(\w+)\n([^]*?)^```$/gm)];

  // The first command writes files that the blocks replace; the last ones test all of them.
  const [first, ...rest] = blocks.filter(([, language]) => language === 'sh');
  run(folder, first?.[2] ?? '');
  for (const [, language, block = ''] of blocks) if (language !== 'sh') write(folder, block);
  for (const [, , script = ''] of rest) run(folder, script);

  const files = 'src/services/note.ts src/services/note_store.ts src/services/note.test.ts';
  run(folder, `oxlint src/services && oxfmt --check ${files} docs/settings.md`);
  run(folder, 'buf lint && buf format --diff --exit-code');
  assert.match(readFileSync(join(folder, 'docs/settings.md'), 'utf8'), /^\| `--max-note-name` /m);
});
