import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { mountSecret } from '../../test/support/secret.ts';
import { createFiles } from './files.ts';

/** Too many to be read at once. */
const names = Array.from({ length: 10 }, (_, i) => `file${i}`);

/** The same text in each file. */
const all = (text: string) => Object.fromEntries(names.map((name) => [name, text]));

test('createFiles() never mixes files of two generations', async () => {
  using secret = mountSecret(all('0'));
  const read = createFiles(
    names.map((name) => secret.path(name)),
    { now: Date.now },
  );

  for (let turns = 0; turns < 100; turns++) {
    const reading = read();
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
    secret.swap(all(String(turns)));
    const { texts } = (await reading) ?? {};
    assert.equal(new Set(texts).size, 1, String(texts));
  }
});

test('createFiles() reads unchanged files once, unless they changed recently, and returns the same snapshot', async () => {
  using secret = mountSecret({ a: '0', b: '1' });
  let now = Date.now();
  const read = createFiles([secret.path('a'), secret.path('b')], { now: () => now });

  // A change within the same tick could have the same timestamp.
  assert.deepEqual((await read())?.texts, ['0', '1']);
  assert.deepEqual((await read())?.texts, ['0', '1']);
  now += 60_000;
  assert.deepEqual((await read())?.texts, ['0', '1']);
  assert.equal(await read(), await read());
  secret.swap({ a: '1', b: '1' });
  assert.deepEqual((await read())?.texts, ['1', '1']);
});

test('createFiles() accepts regular files only, and does not wait for a FIFO', async () => {
  using secret = mountSecret({ a: '0' });
  const fifo = secret.path('fifo');
  assert.equal(spawnSync('mkfifo', [fifo]).status, 0);

  for (const path of [fifo, '/dev/zero', dirname(fifo)]) {
    const read = createFiles([secret.path('a'), path], { now: Date.now });
    const message = `Cannot read "${path}": it must be a regular file of at most 1MiB`;
    await assert.rejects(read(), { message });
  }
});

test('createFiles() gives up on a slow file system, and continues when it answers', async () => {
  using secret = mountSecret({ a: '0' });
  let signal = AbortSignal.abort();
  const read = createFiles([secret.path('a')], { now: Date.now, createSignal: () => signal });

  await assert.rejects(read(), { message: /^Cannot read the files in time/ });
  signal = new AbortController().signal;

  assert.deepEqual((await read())?.texts, ['0']);
});
