import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { eventually } from '../../test/support/harness.ts';
import { createSink } from './log.ts';

/** A non-blocking pipe: the end to write to, and a function that reads the other as Latin-1. */
function openPipe(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  const path = join(folder, 'pipe');
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  const from = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const to = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  t.after(() => {
    for (const fd of [from, to]) closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  const bytes = Buffer.alloc(64 * 1024);
  const read = () => {
    try {
      return bytes.toString('latin1', 0, readSync(from, bytes));
    } catch {
      // No data is available.
      return '';
    }
  };
  return { to, read };
}

/** Lines of many lengths with two-byte characters, more than a pipe holds. */
const lines = Array.from({ length: 2000 }, (_, i) => `${i} ${'é'.repeat((i * 7) % 300)}\n`);
const all = Buffer.from(lines.join('')).toString('latin1');

test('createSink() loses nothing if its reader pauses, and writes whole lines', async (t) => {
  const { to, read } = openPipe(t);
  const sink = createSink({ to, gatherBytes: 1 });
  let text = '';

  for (const line of lines) sink.write(line);
  await eventually('a pipe that is full', () => (text += read()) !== '');
  for (const line of lines) sink.write(line);
  await eventually('the rest', () => (text += read()).length >= 2 * all.length);
  await sink.close();

  assert.ok(text === all.repeat(2));
  assert.equal(sink.dropped(), 0);
});

test('close() drops lines that nothing reads after a second', async (t) => {
  const { to, read } = openPipe(t);
  const sink = createSink({ to, gatherBytes: 1 });
  for (const line of lines) sink.write(line);

  await sink.close();

  let text = '';
  for (let part = read(); part !== ''; part = read()) text += part;
  assert.ok(text.length > 0 && text.length < all.length && all.startsWith(text));
});

test('flushNow() writes as much as fits without waiting', (t) => {
  const { to, read } = openPipe(t);
  const sink = createSink({ to, gatherBytes: 1024 * 1024 });

  for (const line of lines.slice(0, 50)) sink.write(line);
  sink.flushNow();
  const text = read();
  for (const line of lines) sink.write(line);
  sink.flushNow();

  assert.equal(text, all.slice(0, text.length));
  assert.equal(text.split('\n').length, 51);
});

test('createSink() drops and counts lines that an error prevents it from writing', async (t) => {
  const to = openSync('/dev/full', 'w');
  t.after(() => closeSync(to));
  const sink = createSink({ to, gatherBytes: 1024 * 1024 });

  for (let i = 0; i < 3; i++) sink.write('line\n');
  await new Promise<void>((resolve) => sink.flush(resolve));
  const lost = sink.dropped();
  sink.write('line\n');
  await sink.close();

  assert.equal(lost, 3);
  assert.equal(sink.dropped(), 4);
});
