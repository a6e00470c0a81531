import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountSecret } from '../../test/secret.ts';
import { createFiles } from './files.ts';

/** So many that they are not read in one go. */
const names = Array.from({ length: 10 }, (_, i) => `file${i}`);

/** The same text in each. */
const all = (text: string) => Object.fromEntries(names.map((name) => [name, text]));

test('createFiles() never gives files of two generations', async () => {
  using secret = mountSecret(all('0'));
  const read = createFiles(
    names.map((name) => secret.path(name)),
    Date.now,
  );

  for (let turns = 0; turns < 100; turns++) {
    const reading = read();
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
    secret.swap(all(String(turns)));
    const { texts } = (await reading) ?? {};
    assert.equal(new Set(texts).size, 1, String(texts));
  }
});

test('createFiles() reads files once, unless they have changed not long before', async () => {
  using secret = mountSecret({ a: '0', b: '1' });
  let now = Date.now();
  const read = createFiles([secret.path('a'), secret.path('b')], () => now);

  // What changes now could have the same time on it.
  assert.deepEqual((await read())?.texts, ['0', '1']);
  assert.deepEqual((await read())?.texts, ['0', '1']);
  now += 60_000;
  assert.deepEqual((await read())?.texts, ['0', '1']);
  assert.equal(await read(), undefined);
  secret.swap({ a: '1', b: '1' });
  assert.deepEqual((await read())?.texts, ['1', '1']);
});
