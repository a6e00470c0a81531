import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimpleRequest } from '../../gen/grpc/testing/messages.ts';
import { createTestCache } from './cache.ts';

const request = (responseSize: number) => SimpleRequest.fromPartial({ responseSize });

test('createTestCache() caches the response to a request for a minute', () => {
  let now = 1_700_000_000_000;
  const cached = createTestCache(() => now);
  const answer = (size: number) => String(cached(request(size)).body);
  const first = answer(1);

  now += 59_999;
  assert.equal(answer(1), first);
  now += 1;
  assert.equal(answer(1), '1700000060000000000');
});

test('createTestCache() returns unique responses, and keeps the last thousand', () => {
  const cached = createTestCache(() => 1);
  const answer = (size: number) => String(cached(request(size)).body);
  const sizes = Array.from({ length: 1001 }, (_, i) => i);
  const answers = sizes.map(answer);

  assert.equal(new Set(answers).size, 1001);
  assert.equal(answer(1), answers[1]);
  assert.notEqual(answer(0), answers[0]);
});
