import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { install } from '../test/support/program.ts';

const executable = process.env['EXECUTABLE'] ?? assert.fail('EXECUTABLE must name it');
/** An emulated program is slow. */
const patience = ['-connect-timeout', '20s', '-rpc-timeout', '20s'];
const isRoot = process.getuid?.() === 0;

/** Code that a plain Node would run: a file, or an expression. */
const code = 'console.log("other code runs")';
const flagsOfNode = (file: string) => [
  ['-e', code],
  ['--eval', code],
  [`--eval=${code}`],
  ['-p', code],
  ['-pe', code],
  ['-r', file],
  ['--require', file],
  ['--require', file, 'check-config'],
  [`--import=data:text/javascript,${code}`, 'check-config'],
  [`--node-options=--require=${file}`, 'check-config'],
  ['--inspect-brk=127.0.0.1:0'],
  ['--test', file],
  ['--run', 'start'],
  ['--build-sea', file],
  ['-i'],
  ['-'],
  ['--', file],
  [file],
];

test('the executable serves and checks health in an empty folder', async () => {
  using program = install();
  const server = await program.serve();

  const health = await program.run(['health', '-addr', server.address, ...patience]);
  server.signal('SIGTERM');

  assert.deepEqual(health, { code: 0, out: 'status: SERVING\n', err: '' });
  assert.deepEqual(await server.ended, { code: 0, err: '' });
});

test(
  'the executable runs with no files but the libraries that it needs',
  { skip: isRoot ? false : 'needs root' },
  async (t) => {
    const root = rootOf(t, executable);
    const inRoot = (...args: string[]) =>
      spawn('/usr/sbin/chroot', [root, '/greeter', ...args], { env: {} });
    const server = inRoot('--listen', '127.0.0.1:0', '--admin-listen', 'off');
    t.after(() => server.kill('SIGKILL'));
    const [line] = await once(createInterface({ input: server.stdout }), 'line');
    const address = `127.0.0.1:${JSON.parse(line).port}`;

    const health = await text(inRoot('health', '-addr', address, ...patience).stdout);

    assert.equal(health, 'status: SERVING\n');
    server.kill('SIGTERM');
    assert.deepEqual(await once(server, 'exit'), [0, null]);
  },
);

test("the executable runs no other code with Node's flags", async (t) => {
  using program = install();
  const file = fileOf(t, code);

  for (const args of flagsOfNode(file)) {
    const { code: exit, out, err } = await program.run(args, { input: code });
    assert.doesNotMatch(out + err, /^other code runs$|Debugger/m, args.join(' '));
    assert.equal(exit, 2, args.join(' '));
  }
});

test("the executable runs no other code with Node's variables", async (t) => {
  using program = install();
  const file = fileOf(t, code);

  for (const options of [
    `--require=${file}`,
    `--import=${file}`,
    '--inspect=127.0.0.1:0',
    '-e 0',
  ]) {
    const ran = await program.run(['check-config'], { env: { NODE_OPTIONS: options } });
    assert.match(ran.out, /^\{[^]*\}\n$/);
    assert.deepEqual({ code: ran.code, err: ran.err }, { code: 0, err: '' }, options);
  }
  const refused = await program.run(['check-config'], { env: { NODE_REPL_EXTERNAL_MODULE: file } });
  assert.deepEqual([refused.code, refused.out], [9, '']);
});

test('the executable opens no debugger port at SIGUSR1', async () => {
  using program = install();
  const server = await program.serve();

  server.signal('SIGUSR1');
  const health = await program.run(['health', '-addr', server.address, ...patience]);
  server.signal('SIGTERM');

  assert.equal(health.out, 'status: SERVING\n');
  // Node would print the address of its debugger to standard error.
  assert.deepEqual(await server.ended, { code: 0, err: '' });
});

test('the licences and the SBOM beside the executable list the components of Node', () => {
  const licences = readFileSync('dist/greeter.LEGAL.txt', 'utf8');
  const { components } = JSON.parse(readFileSync('dist/greeter.cdx.json', 'utf8'));

  for (const part of ['OpenSSL', 'ICU', 'V8', 'libuv', 'zlib']) {
    assert.match(licences, new RegExp(`^- ${part}`, 'm'), part);
  }
  const node: Part | undefined = components.find(({ name }: Part) => name === 'node');
  const parts = node?.components?.map(({ name, version }) => [name, version]) ?? [];
  const { openssl, v8 } = Object.fromEntries(parts);
  assert.deepEqual(
    { node: node?.version, openssl, v8 },
    { node: process.versions.node, openssl: process.versions.openssl, v8: process.versions.v8 },
  );
  assert.ok(components.length > 40);
});

interface Part {
  name: string;
  version: string;
  components?: readonly Part[];
}

/** A folder with the executable and the libraries that it needs. */
function rootOf(t: TestContext, program: string): string {
  const root = temporary(t);
  copyFileSync(program, join(root, 'greeter'));
  const libraries =
    execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/\S+(?= \()/g) ?? [];
  assert.ok(libraries.length > 0);
  for (const library of libraries) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    copyFileSync(library, join(root, library));
  }
  return root;
}

function fileOf(t: TestContext, content: string): string {
  const file = join(temporary(t), 'other.mjs');
  writeFileSync(file, content);
  return file;
}

function temporary(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}
