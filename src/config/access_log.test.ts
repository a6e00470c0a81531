import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessLog } from './access_log.ts';

test('accessLog() accepts three words, and 1/N', () => {
  for (const word of ['all', 'errors', 'off']) assert.equal(accessLog(word), word);
  assert.deepEqual(accessLog('1/1'), { oneIn: 1 });
  assert.deepEqual(accessLog('1/1000000'), { oneIn: 1_000_000 });
});

test('accessLog() rejects similar text, with the rule', () => {
  const wrong = ['', 'on', 'ALL', '1', '1/', '1/0', '1/01', '1/-5', '1/1.5', '1/1e3', '1/1000001'];

  for (const text of [
    ...wrong,
    '2/3',
    '0/1',
    ' 1/10',
    '1/10 ',
    '1/ 10',
    '1/10/10',
    `1/${'9'.repeat(400)}`,
  ]) {
    assert.throws(
      () => accessLog(text),
      new RangeError('must be all, errors, off, or 1/N with N from 1 to 1000000'),
      text,
    );
  }
});
