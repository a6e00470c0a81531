import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBucket } from './token_bucket.ts';

test('take() lets a burst through, and then so many a second', () => {
  let now = 0;
  const bucket = new TokenBucket({ burst: 3, perSecond: 2 }, () => now);
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

  assert.deepEqual(taken, [3, 2, 0, 3]);
});
