import assert from 'node:assert/strict';
import { test } from 'node:test';
import { corsOrigins } from './cors_origins.ts';

test('corsOrigins() parses off, *, and a list of origins', () => {
  assert.equal(corsOrigins('off'), 'off');
  assert.equal(corsOrigins('*'), '*');
  assert.deepEqual(corsOrigins('https://a.example, http://localhost:8080'), [
    'https://a.example',
    'http://localhost:8080',
  ]);
});

test('corsOrigins() throws for a text that is not the origin of a page', () => {
  for (const text of ['', 'example.com', 'https://a.example/', 'https://a.example:443', 'on,*']) {
    assert.throws(() => corsOrigins(text), RangeError, text);
  }
});
