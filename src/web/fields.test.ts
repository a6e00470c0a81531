import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headersOf } from './fields.ts';

test('headersOf() leaves out names that HTTP/2 allows and HTTP/1.1 does not', () => {
  const headers = headersOf([':path', '/', 'x(y)', '1', 'a', '2', '"', '3', 'a', '4']);

  assert.deepEqual([...headers], [['a', '2, 4']]);
});
