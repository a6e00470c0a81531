import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeText, encodeText } from './text.ts';

async function* each(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

const request = { inTurn: <T>(_work: number, task: () => T) => task() };

async function allOf(parts: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const part of parts) all.push(part);
  return Buffer.concat(all).toString();
}

test('decodeText() decodes base64 in any chunks, with padding between parts', async () => {
  assert.equal(await allOf(decodeText(each('aGVs', 'bG8='), request)), 'hello');
  assert.equal(await allOf(decodeText(each('a', 'GVsb', 'G8='), request)), 'hello');
  assert.equal(await allOf(decodeText(each('aGU=bGxv'), request)), 'hello');
  assert.equal(await allOf(decodeText(each('aA==ZQ==bGxv'), request)), 'hello');
});

test('encodeText() pads each chunk', async () => {
  assert.equal(await allOf(encodeText(each('he', 'llo'))), 'aGU=bGxv');
});
