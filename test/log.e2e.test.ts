import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createClient } from 'nice-grpc';
import { HelloDefinition } from '../src/gen/hello.ts';
import { eventually } from './harness.ts';
import { install, type ServedUnread } from './program.ts';
import { listenTcp } from './tcp.ts';

/** A device on which there is never room. */
function openFull(t: TestContext): number {
  const full = openSync('/dev/full', 'w');
  t.after(() => closeSync(full));
  return full;
}

async function hello({ channel }: ServedUnread): Promise<void> {
  const { value } = await createClient(HelloDefinition, channel).hello({ value: 'World' });
  assert.equal(value, 'Hello World');
}

/** Calls until lines are lost; each call has one. */
async function losesLines(server: ServedUnread): Promise<void> {
  await eventually('lost lines in the metric', async () => {
    await hello(server);
    return (await server.metric('greeter_log_lines_dropped_total')) > 0;
  });
}

for (const format of ['json', 'human']) {
  test(`a log in format ${format} that has no room loses lines, counted, and nothing else`, async (t) => {
    using program = install();
    const server = await program.serveUnread(['--log-format', format], { out: openFull(t) });

    await losesLines(server);
    await hello(server);
    server.signal('SIGTERM');

    assert.deepEqual(await server.ended, { code: 0, err: '' });
  });

  test(`a log in format ${format} whose reader has gone loses lines, counted, and nothing else`, async () => {
    using program = install();
    const server = await program.serveUnread(['--log-format', format], {});

    server.out?.destroy();
    await losesLines(server);
    await hello(server);
    server.signal('SIGTERM');

    assert.deepEqual(await server.ended, { code: 0, err: '' });
  });

  test(`a log in format ${format} on a socket that is reset loses lines, counted, and nothing else`, async (t) => {
    using program = install();
    const tcp = createServer();
    t.after(() => tcp.close());
    const out = connect(await listenTcp(tcp), '127.0.0.1').on('error', () => {});
    const [reader] = await once(tcp, 'connection');
    await once(out, 'ready');
    const server = await program.serveUnread(['--log-format', format], { out });
    out.destroy();

    reader.resetAndDestroy();
    await losesLines(server);
    await hello(server);
    server.signal('SIGTERM');

    assert.deepEqual(await server.ended, { code: 0, err: '' });
  });
}

test('a log goes on, in whole lines, when its file has room again', async (t) => {
  using program = install();
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'log');
  const out = openSync(file, 'a');
  const server = await program.serveUnread([], { out });
  closeSync(out);
  const lines = () => readFileSync(file, 'utf8').split('\n').slice(0, -1);
  await eventually('the line that says it serves', () => lines().length === 3);
  const limit = (bytes: number | string) => {
    const { status } = spawnSync('prlimit', [`--pid=${server.pid}`, `--fsize=${bytes}:`]);
    assert.equal(status, 0, 'prlimit');
  };

  // There is room for half a line.
  limit(statSync(file).size + 50);
  for (let i = 0; i < 10; i++) await hello(server);
  await losesLines(server);
  assert.ok(!readFileSync(file, 'utf8').endsWith('\n'));
  limit('unlimited');
  await eventually('a line that is written again', async () => {
    await hello(server);
    return lines().length > 5;
  });
  server.signal('SIGTERM');

  assert.deepEqual(await server.ended, { code: 0, err: '' });
  const messages = lines().map((line) => JSON.parse(line).msg);
  assert.equal(messages.filter((msg) => msg === 'serving').length, 1);
  assert.equal(messages.at(-1), 'leaving');
});

test('what cannot be written to standard output or error is no crash', async (t) => {
  using program = install();
  const full = openFull(t);

  const help = await program.run(['--help'], { out: full });
  const usage = await program.run(['--nope'], { err: full });

  assert.match(help.err, /^Cannot write to standard output: ENOSPC.*\n$/);
  assert.equal(help.code, 1);
  assert.equal(usage.code, 2);
});
