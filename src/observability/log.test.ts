import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createLog, type LogOptions } from './log.ts';

/** A log in a file, and what is in the file. */
async function fileLog(t: TestContext, options: Omit<LogOptions, 'to'>) {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  const file = join(folder, 'log');
  const to = openSync(file, 'a');
  t.after(() => rmSync(folder, { recursive: true }));
  return { ...(await createLog({ ...options, to })), written: () => readFileSync(file, 'utf8') };
}

test('createLog() writes JSON, a line for each object, with level and time as words', async (t) => {
  const { log, close, written } = await fileLog(t, { level: 'info', format: 'json' });

  log.info({ code: 'OK' }, 'call ended');
  log.debug('not this');
  await close();

  const line = JSON.parse(written());
  assert.deepEqual(Object.keys(line), ['level', 'time', 'code', 'msg']);
  assert.partialDeepStrictEqual(line, { level: 'info', code: 'OK', msg: 'call ended' });
  assert.ok(Math.abs(Date.parse(line.time) - Date.now()) < 60_000);
});

test('createLog() writes for people: a time, a level, words and fields', async (t) => {
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

test('createLog() holds lines back, to write many at once, and flush() sends them', async (t) => {
  const { log, close, written } = await fileLog(t, { level: 'info', format: 'json' });

  for (let i = 0; i < 5; i++) log.info('line');
  const before = written();
  await new Promise<void>((resolve) => log.flush(() => resolve()));
  const after = written();
  await close();

  assert.equal(before, '');
  assert.equal(after.split('\n').length, 6);
});

test('createLog() takes lines after close(), and lets go of them', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { log, close, written } = await fileLog(t, { level: 'info', format: 'json' });
  log.info('before');

  await close();
  log.info('after');
  t.mock.timers.runAll();

  assert.match(written(), /^[^\n]*"before"[^\n]*\n$/);
});

test('createLog() holds 8 MiB that cannot be written yet, and counts the lines beyond', async (t) => {
  const { log, dropped, close, written } = await fileLog(t, { level: 'info', format: 'json' });
  const pad = 'x'.repeat(1024 * 1024);

  for (let i = 0; i < 12; i++) log.info({ pad }, 'line');
  const lost = dropped();
  await close();

  assert.ok(lost >= 4, `${lost} lines`);
  assert.equal(written().trimEnd().split('\n').length, 12 - lost);
});
