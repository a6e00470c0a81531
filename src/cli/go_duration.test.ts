import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatGoDuration, parseGoDuration } from './go_duration.ts';

test("parseGoDuration() parses what Go's time.ParseDuration parses", () => {
  const known: Record<string, number> = {
    '0': 0,
    '0s': 0,
    '+5s': 5000,
    '-1.5h': -5_400_000,
    '1m30s': 90_000,
    '1h0m1s': 3_601_000,
    '.5s': 500,
    '1.s': 1000,
    '500us': 0.5,
    '500µs': 0.5,
    '500μs': 0.5,
    '100ns': 1e-4,
    '2562047h': 2_562_047 * 3_600_000,
  };

  for (const [text, ms] of Object.entries(known)) assert.equal(parseGoDuration(text), ms, text);
});

test('parseGoDuration() rejects what time.ParseDuration rejects', () => {
  for (const text of [
    '',
    '5',
    '5 s',
    's',
    '.s',
    '-',
    '1d',
    '1S',
    '1s2',
    '2562048h',
    '0x1s',
    '٣s',
  ]) {
    assert.throws(() => parseGoDuration(text), {
      name: 'RangeError',
      message: 'must be a duration such as 250ms, 5s or 1m30s',
    });
  }
});

test('formatGoDuration() formats as Go prints a duration', () => {
  const known: Record<string, number> = {
    '0s': 0,
    '100ns': 1e-4,
    '1.5µs': 0.0015,
    '2.345678ms': 2.345678,
    '999.999999ms': 999.999999,
    '1s': 1000,
    '1m30s': 90_000,
    '1m0.5s': 60_500,
    '1h0m0s': 3_600_000,
    '100h1m1s': 100 * 3_600_000 + 61_000,
  };

  for (const [text, ms] of Object.entries(known)) assert.equal(formatGoDuration(ms), text);
});
