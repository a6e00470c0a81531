import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { transformSync } from 'esbuild';
import packageJson from '../package.json' with { type: 'json' };

const built = join(import.meta.dirname, '../dist/greeter.mjs');
const oldest = Number(packageJson.engines.node.replace('>=', ''));
const refusal = (node: string) =>
  `Cannot run on Node ${node}: must be ${oldest} or newer; ` +
  '`npm start` has the right one, and the executable needs none\n';

function run(node: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(node, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('the built file says what to do on an old Node, and exits 1', () => {
  const older = `${oldest - 1}.9.0`;
  const posing = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${older}' } })`;

  const said = run(process.execPath, '--import', `data:text/javascript,${posing}`, built, 'serve');

  assert.deepEqual(said, { status: 1, stdout: '', stderr: refusal(older) });
});

test('every Node of this machine runs the built file, or gets that message', () => {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const nodes = new Set(folders.map((folder) => join(folder, 'node')).filter(existsSync));

  for (const node of nodes) {
    const version = run(node, '--version').stdout.trim().slice(1);
    const { status, stdout, stderr } = run(node, built, '--version');
    if (Number.parseInt(version, 10) < oldest) {
      assert.deepEqual({ status, stderr }, { status: 1, stderr: refusal(version) }, node);
    } else {
      assert.match(stdout, /^greeter /, node);
    }
  }
});

test('an old Node can parse the built file', () => {
  const code = readFileSync(built, 'utf8');
  const written = (target: string) => transformSync(code, { target, charset: 'utf8' }).code;

  assert.equal(written('node18'), written('esnext'));
});
