import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { jsonCost } from './json_cost.ts';

/** The estimate in bytes beside the length of the text. */
function extraOf(text: string): number {
  return jsonCost(Buffer.from(text)).bytes - 2 * text.length;
}

test('jsonCost() counts values, and ignores the contents of strings', () => {
  assert.equal(extraOf('{"a":"[[[,,,{{{"}'), extraOf('{"a":"b"}'));
  assert.equal(extraOf('{"a":"\\\\\\",[,["}'), extraOf('{"a":"b"}'));
  assert.ok(extraOf('[[],[],[]]') > extraOf('[1,2,3]'));
});

test('jsonCost() covers the objects that JSON.parse() creates from many small values', () => {
  assert.ok(extraOf(`[${'{},'.repeat(1000)}0]`) > 1000 * 56);
});

test('jsonCost() throws for JSON that is nested deeper than any message', () => {
  assert.equal(jsonCost(Buffer.from('['.repeat(100))).bytes > 0, true);
  assert.throws(
    () => jsonCost(Buffer.from('['.repeat(101))),
    (error) => error instanceof ConnectError && error.code === Code.InvalidArgument,
  );
});

test('jsonCost() throws for JSON that would take the event loop for long', () => {
  assert.ok(jsonCost(Buffer.from(`[${'0,'.repeat(9000)}0]`)).work > 9000);
  for (const part of ['0,', '{},', '[', '"a":{},']) {
    assert.throws(
      () => jsonCost(Buffer.from(part.repeat(11_000))),
      (error) => error instanceof ConnectError,
    );
  }
});

test('jsonCost() finds the end of a string of any length, whatever is escaped', () => {
  for (let length = 0; length < 200; length++) {
    for (const escaped of ['', '\\"', '\\\\', '\\\\\\"']) {
      const text = `["${'x'.repeat(length)}${escaped}",1,2]`;
      assert.equal(extraOf(text), extraOf('["",1,2]'), text);
    }
  }
});

test('jsonCost() accepts a string without an end', () => {
  for (const rest of ['', 'x'.repeat(100)]) {
    assert.ok(jsonCost(Buffer.from(`{"a${rest}`)).bytes > 0);
    assert.ok(jsonCost(Buffer.from(`{"a${rest}\\`)).bytes > 0);
    assert.ok(jsonCost(Buffer.from(`{"a${rest}\\"`)).bytes > 0);
  }
});
