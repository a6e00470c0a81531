import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { createClient } from 'nice-grpc';
import { HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';
import { ScriptDefinition } from './echo/gen/echo.ts';
import { eventually } from './support/harness.ts';
import { installEcho } from './support/echo_program.ts';
import type { ServedUnread } from './support/program.ts';
import { listenTcp } from './support/tcp.ts';
import { serverTls } from './support/tls.ts';

/** A device that is always full. */
function openFull(t: TestContext): number {
  const full = openSync('/dev/full', 'w');
  t.after(() => closeSync(full));
  return full;
}

async function call({ channel }: ServedUnread): Promise<void> {
  await createClient(ScriptDefinition, channel).unary({});
}

/** Makes calls until log lines are lost; each call has one. */
async function losesLines(server: ServedUnread): Promise<void> {
  await eventually('lost lines in the metric', async () => {
    await call(server);
    return (await server.metric('greeter_log_lines_dropped_total')) > 0;
  });
}

for (const format of ['json', 'human']) {
  test(`a log in format ${format} whose output is full loses lines, counted, and nothing else`, async (t) => {
    using program = installEcho();
    const server = await program.serveUnread(['--log-format', format], { out: openFull(t) });

    await losesLines(server);
    await call(server);
    server.signal('SIGTERM');

    assert.deepEqual(await server.ended, { code: 0, err: '' });
  });

  test(`a log in format ${format} whose reader has closed it loses lines, counted, and nothing else`, async () => {
    using program = installEcho();
    const server = await program.serveUnread(['--log-format', format], {});

    server.out?.destroy();
    await losesLines(server);
    await call(server);
    server.signal('SIGTERM');

    assert.deepEqual(await server.ended, { code: 0, err: '' });
  });

  test(`a log in format ${format} on a socket that is reset loses lines, counted, and nothing else`, async (t) => {
    using program = installEcho();
    const tcp = createServer();
    t.after(() => tcp.close());
    const out = connect(await listenTcp(tcp), '127.0.0.1').on('error', () => {});
    const [reader] = await once(tcp, 'connection');
    await once(out, 'ready');
    const server = await program.serveUnread(['--log-format', format], { out });
    out.destroy();

    reader.resetAndDestroy();
    await losesLines(server);
    await call(server);
    server.signal('SIGTERM');

    assert.deepEqual(await server.ended, { code: 0, err: '' });
  });
}

test('a log continues, in whole lines, when its file system has space again', async (t) => {
  using program = installEcho();
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'log');
  const out = openSync(file, 'a');
  const server = await program.serveUnread([], { out });
  closeSync(out);
  const lines = () => readFileSync(file, 'utf8').split('\n').slice(0, -1);
  const messagesOf = () => lines().map((line) => JSON.parse(line).msg);
  await eventually('the line that says it serves', () => messagesOf().includes('serving'));
  const limit = (bytes: number | string) => {
    const { status } = spawnSync('prlimit', [`--pid=${server.pid}`, `--fsize=${bytes}:`]);
    assert.equal(status, 0, 'prlimit');
  };

  const before = lines().length;
  // There is space for half a line.
  limit(statSync(file).size + 50);
  for (let i = 0; i < 10; i++) await call(server);
  await losesLines(server);
  assert.ok(!readFileSync(file, 'utf8').endsWith('\n'));
  limit('unlimited');
  await eventually('a line that is written again', async () => {
    await call(server);
    return lines().length > before + 2;
  });
  server.signal('SIGTERM');

  assert.deepEqual(await server.ended, { code: 0, err: '' });
  const messages = messagesOf();
  assert.equal(messages.filter((msg) => msg === 'serving').length, 1);
  assert.equal(messages.at(-1), 'stopped');
});

test('--access-log errors writes no line for a call that ends with OK, and check-config accepts 1/N', async () => {
  using program = installEcho();
  const server = await program.serve(['--access-log', 'errors', '--log-level', 'debug']);
  const health = createClient(HealthDefinition, server.channel);

  await health.check({ service: '' });
  await health.check({ service: 'nope' }).catch(() => {});
  await server.log.line({ 'rpc.status_code': 'NOT_FOUND' });
  const { out } = await program.run(['check-config', '--access-log', '1/100']);

  assert.deepEqual(
    server.log.lines.filter((line) => line['rpc.status_code'] === 'OK'),
    [],
  );
  assert.deepEqual(JSON.parse(out).accessLog, { oneIn: 100 });
});

test("the terminal log escapes a caller's text, which cannot start a line or control the terminal", async () => {
  using program = installEcho();
  const env = { GREETER_ENGINE: 'direct' };
  const server = await program.serveUnread(['--log-format', 'human'], { env });
  const session = connectHttp2('http://localhost', { createConnection: () => server.connect() });
  const headers = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
  const evil = '/\u001B]0;title\u0007\u001B[2J\u009B31m\u0085';

  const stream = session.request({ ...headers, ':path': evil, 'x-request-id': 'a=b' });
  await once(stream.resume().end(), 'close');
  session.destroy();
  server.signal('SIGTERM');
  const log = await text(server.out ?? assert.fail('no pipe'));

  const [line = ''] = log.split('\n').filter((each) => each.includes('UNIMPLEMENTED'));
  // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
  assert.doesNotMatch(log.replaceAll('\n', ''), /[\0-\u001F\u007F-\u009F]/);
  assert.match(line, /rpc\.method_original="\\u001b\]0;title\\u0007\\u001b\[2J/);
  assert.match(line, /request_id="a=b" /);
});

test("the commands escape a server's text, which cannot control the terminal", async () => {
  using program = installEcho();
  const server = await program.serve();
  const at = ['--addr', server.address, ...(serverTls ? ['--tls', '--tls-no-verify'] : [])];

  const health = await program.run(['health', ...at, '--service', '\u001B[2J\u0007']);

  assert.match(health.err, /\\u001b\[2J\\u0007/);
  // oxlint-disable-next-line no-control-regex -- the same
  assert.doesNotMatch(health.err, /[\u001B\u0007]/);
});

test('an error of standard output or standard error is no crash', async (t) => {
  using program = installEcho();
  const full = openFull(t);

  const help = await program.run(['--help'], { out: full });
  const usage = await program.run(['--nope'], { err: full });

  assert.match(help.err, /^Cannot write to standard output: ENOSPC.*\n$/);
  assert.equal(help.code, 1);
  assert.equal(usage.code, 2);
});
