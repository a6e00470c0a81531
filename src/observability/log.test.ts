import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createLog, type LogOptions } from './log.ts';

/** A log in a file, and a function that reads it. */
async function fileLog(t: TestContext, options: Omit<LogOptions, 'to'>) {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  const file = join(folder, 'log');
  const to = openSync(file, 'a');
  t.after(() => rmSync(folder, { recursive: true }));
  return { ...(await createLog({ ...options, to })), written: () => readFileSync(file, 'utf8') };
}

test('createLog() writes one JSON object per line, with level and time as text', async (t) => {
  const { log, close, written } = await fileLog(t, { level: 'info', format: 'json' });

  log.info({ code: 'OK' }, 'call ended');
  log.debug('not this');
  await close();

  const line = JSON.parse(written());
  assert.deepEqual(Object.keys(line), ['level', 'time', 'code', 'msg']);
  assert.partialDeepStrictEqual(line, { level: 'info', code: 'OK', msg: 'call ended' });
  assert.ok(Math.abs(Date.parse(line.time) - Date.now()) < 60_000);
});

test('createLog() writes time, level, message and fields in the human format', async (t) => {
  const { log, close, written } = await fileLog(t, { level: 'debug', format: 'human' });

  log.info({ port: 50_051, services: ['a', 'b'], try: 'npm start -- guide hello' }, 'serving');
  log.error({ err: new Error('boom') }, 'call failed');
  await close();

  const [serving = '', failed = '', error, stack = ''] = written()
    // oxlint-disable-next-line no-control-regex -- colours
    .replaceAll(/\u001B\[\d+m/g, '')
    .split('\n');
  const fields = 'port=50051  services="a, b"  try="npm start -- guide hello"';
  assert.match(serving, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: /);
  assert.equal(serving.split('INFO: ')[1], `serving  ${fields}`);
  assert.equal(failed.split('ERROR: ')[1], 'call failed');
  assert.equal(error, 'Error: boom');
  assert.match(stack, /^ {4}at .*log\.test\.ts/);
});

/** A window title, a cursor movement, a line break, and text in reverse order. */
const evil = '/\u001B]0;x\u0007\u009B2J\u007F\n[12:00:00.000] INFO: forged\u2028\u202Ex\uD83D';

test("createLog() escapes a peer's text in JSON without loss", async (t) => {
  const { log, close, written } = await fileLog(t, { level: 'info', format: 'json' });

  log.info({ rpc: evil, requestId: '","code":"OK' }, 'call ended');
  log.child({ rpc: evil }).error({ err: new Error(evil) }, 'call failed');
  await close();

  const text = written();
  const [ended, failed] = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.match(text, /^[ -~]+\n[ -~]+\n$/);
  assert.partialDeepStrictEqual(ended, { rpc: evil, requestId: '","code":"OK', msg: 'call ended' });
  assert.partialDeepStrictEqual(failed, { rpc: evil, err: { message: evil } });
});

test("createLog() escapes a peer's text in the human format", async (t) => {
  const { log, close, written } = await fileLog(t, { level: 'info', format: 'human' });
  const error = new Error(evil, { cause: new Error(evil) });

  // pino-pretty treats some of these names specially.
  log.info(
    { rpc: evil, name: evil, hostname: evil, caller: evil, type: 'Error', stack: evil },
    'a',
  );
  log.info(
    { peer: 'unix', requestId: 'x  code=OK', client: 'a=b', list: ['a', evil], of: {} },
    'b',
  );
  log.error({ err: error }, evil);
  log.error({ err: evil }, 'c');
  await close();

  // oxlint-disable-next-line no-control-regex -- colours
  const text = written().replaceAll(/\u001B\[\d+m/g, '');
  assert.match(text, /^[ -~\n]+$/);
  const beginnings = text.split('\n').map((line) => line.replaceAll(/\d/g, '0').slice(0, 14));
  const lines = beginnings.filter((line) => !line.startsWith('    ') && line !== '');
  assert.deepEqual(lines, [
    ...Array(3).fill('[00:00:00.000]'),
    'Error: /\\u000b',
    '[00:00:00.000]',
  ]);
  const [, second = ''] = text.split('\n');
  assert.match(
    second,
    / b {2}peer=unix {2}requestId="x {2}code=OK" {2}client="a=b" {2}list="a, .*" {2}of=/,
  );
});

test('createLog() gathers lines, and flush() writes them', async (t) => {
  const { log, close, written } = await fileLog(t, { level: 'info', format: 'json' });

  for (let i = 0; i < 5; i++) log.info('line');
  const before = written();
  await new Promise<void>((resolve) => log.flush(() => resolve()));
  const after = written();
  await close();

  assert.equal(before, '');
  assert.equal(after.split('\n').length, 6);
});

test('createLog() drops lines after close()', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { log, close, written } = await fileLog(t, { level: 'info', format: 'json' });
  log.info('before');

  await close();
  log.info('after');
  t.mock.timers.runAll();

  assert.match(written(), /^[^\n]*"before"[^\n]*\n$/);
});

test('createLog() buffers 8 MiB that cannot be written yet, and counts lost lines', async (t) => {
  const { log, dropped, close, written } = await fileLog(t, { level: 'info', format: 'json' });
  const pad = 'x'.repeat(1024 * 1024);

  for (let i = 0; i < 12; i++) log.info({ pad }, 'line');
  const lost = dropped();
  await close();

  assert.ok(lost >= 4, `${lost} lines`);
  assert.equal(written().trimEnd().split('\n').length, 12 - lost);
});
