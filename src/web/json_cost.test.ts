import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { jsonCost } from './json_cost.ts';

/** Bytes that a text of JSON takes beside its length. */
function extraOf(text: string): number {
  return jsonCost(Buffer.from(text)) - 2 * text.length;
}

test('jsonCost() counts values, and none that stand in a string', () => {
  assert.equal(extraOf('{"a":"[[[,,,{{{"}'), extraOf('{"a":"b"}'));
  assert.equal(extraOf('{"a":"\\\\\\",[,["}'), extraOf('{"a":"b"}'));
  assert.ok(extraOf('[[],[],[]]') > extraOf('[1,2,3]'));
});

test('jsonCost() covers what JSON.parse() makes of many small values', () => {
  assert.ok(extraOf(`[${'{},'.repeat(1000)}0]`) > 1000 * 56);
});

test('jsonCost() refuses what is deeper than any message', () => {
  assert.equal(jsonCost(Buffer.from('['.repeat(100))) > 0, true);
  assert.throws(
    () => jsonCost(Buffer.from('['.repeat(101))),
    (error) => error instanceof ConnectError && error.code === Code.InvalidArgument,
  );
});

test('jsonCost() comes to the end of a string that has none', () => {
  assert.ok(jsonCost(Buffer.from('{"a')) > 0);
  assert.ok(jsonCost(Buffer.from('{"a\\')) > 0);
});
