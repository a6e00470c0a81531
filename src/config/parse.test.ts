import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { duration, integer, oneOf, onOff, or, pemFile, size } from './parse.ts';

test('duration() parses Go durations', () => {
  const parse = duration({ min: '0s' });
  const texts = ['0', '0s', '250ms', '5s', '1m30s', '1h', '1.5h', '1h2m3s4ms', '576h'];

  assert.deepEqual(
    texts.map(parse),
    [0, 0, 250, 5000, 90_000, 3_600_000, 5_400_000, 3_723_004, 2_073_600_000],
  );
});

test('duration() rejects everything else, with the rule', () => {
  const parse = duration({ min: '1ms' });

  for (const text of ['', '5', '5 s', '-5s', '5x', 's', '1e3s', '0s', '577h', '5s5', 'Infinity']) {
    assert.throws(() => parse(text), {
      message: 'must be a duration from 1ms to 576h, such as 250ms, 5s or 1m30s',
    });
  }
});

test('size() parses bytes and binary units', () => {
  const parse = size({ min: '1', max: '2GiB' });

  assert.deepEqual(
    ['1', '1000B', '64KiB', '4MiB', '1GiB'].map(parse),
    [1, 1000, 65_536, 4_194_304, 1_073_741_824],
  );
});

test('size() rejects everything else, with the rule', () => {
  const parse = size({ min: '1KiB', max: '1GiB' });

  for (const text of ['', '4', '4MB', '4 MiB', '-1', '2GiB', '1.5MiB', 'MiB', 'toString']) {
    assert.throws(() => parse(text), {
      message: 'must be a size from 1KiB to 1GiB, such as 64KiB or 4MiB',
    });
  }
});

test('integer() parses whole numbers in its range only', () => {
  const parse = integer(1, 10);

  assert.deepEqual(['1', '10', '007'].map(parse), [1, 10, 7]);
  for (const text of ['', '0', '11', '1.5', '0x5', '-1', 'x']) {
    assert.throws(() => parse(text), { message: 'must be a whole number from 1 to 10' });
  }
});

test('onOff() accepts on and off, true and false', () => {
  assert.deepEqual(['on', 'true', 'off', 'false'].map(onOff), [true, true, false, false]);
  for (const text of ['', 'yes', 'On', '0']) {
    assert.throws(() => onOff(text), { message: 'must be on or off' });
  }
});

test('oneOf() accepts its words only', () => {
  const parse = oneOf('a', 'b');

  assert.equal(parse('b'), 'b');
  assert.throws(() => parse('c'), { message: 'must be one of a, b' });
});

test('or() adds a word for undefined', () => {
  const parse = or('none', integer(1, 10));

  assert.deepEqual(['none', '3'].map(parse), [undefined, 3]);
  assert.throws(() => parse('0'), { message: 'must be a whole number from 1 to 10, or none' });
});

test('pemFile() rejects a FIFO without waiting, devices and large files', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const fifo = join(folder, 'fifo');
  assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
  const begin = '-----BEGIN CERTIFICATE-----\n';
  const [most, large] = [join(folder, 'most.pem'), join(folder, 'large.pem')];
  writeFileSync(most, begin.padEnd(1024 ** 2));
  writeFileSync(large, begin.padEnd(1024 ** 2 + 1));

  for (const path of [fifo, folder, '/dev/zero', large]) {
    assert.throws(() => pemFile(path), { message: 'must be a regular file of at most 1MiB' }, path);
  }
  assert.equal(pemFile(most)?.path, most);
});

test('pemFile() rejects UTF-16, and says so', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'wide.pem');
  writeFileSync(path, '\u{FEFF}-----BEGIN CERTIFICATE-----\n', 'utf16le');

  assert.throws(() => pemFile(path), { message: 'must be PEM in UTF-8, not UTF-16 or DER' });
});
