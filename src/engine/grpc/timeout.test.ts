import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTimeout } from './timeout.ts';

test('parseTimeout() accepts every unit, and values beyond the range of a timer', () => {
  const texts = ['1H', '2M', '3S', '4m', '5u', '6n', '0n', '99999999H'];
  assert.deepEqual(
    texts.map(parseTimeout),
    [3_600_000, 120_000, 3000, 4, 0.005, 0.000006, 0, 359_999_996_400_000],
  );
});

test('parseTimeout() rejects everything else', () => {
  const texts = ['', 'S', '1', '1s', '-1S', '+1S', '1.5S', ' 1S', '1S ', '123456789S', '1SS', 'xS'];
  assert.deepEqual(
    texts.filter((text) => parseTimeout(text) !== undefined),
    [],
  );
});
