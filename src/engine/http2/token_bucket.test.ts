import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBucket } from './token_bucket.ts';

test('take() allows a burst of twice the rate, and then the rate', () => {
  let now = 0;
  const bucket = new TokenBucket(2, () => now);
  const takeAll = () => {
    let taken = 0;
    while (bucket.take()) taken++;
    return taken;
  };

  const taken = [takeAll()];
  now = 1000;
  taken.push(takeAll());
  now = 1400;
  taken.push(takeAll());
  now = 1_000_000;
  taken.push(takeAll());

  assert.deepEqual(taken, [4, 2, 0, 4]);
});

test('earn() adds tokens, up to the burst', () => {
  const bucket = new TokenBucket(1, () => 0);
  bucket.take();
  bucket.take();

  bucket.earn(1);
  const one = [bucket.take(), bucket.take()];
  bucket.earn(100);
  const burst = [bucket.take(), bucket.take(), bucket.take()];

  assert.deepEqual(
    [one, burst],
    [
      [true, false],
      [true, true, false],
    ],
  );
});
