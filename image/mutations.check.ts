// Tests that each check of an image can fail: IMAGE=ARCHIVE node --test --test-timeout=90000 image/mutations.check.ts
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildah, imageUnderTest } from './container.ts';
import { type Mutation, mutationsOf } from './mutations.ts';

const good = imageUnderTest();

for (const mutation of mutationsOf(good)) {
  test(`the checks find ${mutation.name}`, () => {
    const { inFiles, config } = mutation;
    const id = inFiles || config ? broken(mutation) : good.id;

    const flags = ['--test', '--test-timeout=60000', ...flagsFor(mutation)];
    const { status, stdout } = spawnSync(process.execPath, flags, {
      encoding: 'utf8',
      // Otherwise it would print for a parent test runner only.
      env: { ...process.env, ...mutation.env, IMAGE: id, NODE_TEST_CONTEXT: undefined },
    });

    assert.equal(status, 1, stdout);
    assert.match(stdout, /^. fail 1$/m);
    assert.match(stdout, mutation.saying);
    if (id !== good.id) buildah('rmi', '--force', id);
  });
}

/** Creates the mutated image; returns its ID. */
function broken({ inFiles, config }: Mutation): string {
  const container = buildah('from', good.id);
  inFiles?.(buildah('mount', container));
  if (config) buildah('config', ...config, container);
  return buildah('commit', '--quiet', '--rm', container, 'localhost/greeter-wrong');
}

/** Runs the one test that must fail, and only the file that has it. */
function flagsFor({ fails }: Mutation): string[] {
  const files = ['container', 'image'].map((name) => join(import.meta.dirname, `${name}.check.ts`));
  const own = files.filter((file) => readFileSync(file, 'utf8').includes(fails));
  assert.equal(own.length, 1, `"${fails}" must be in one file`);
  return ['--test-reporter=spec', `--test-name-pattern=${fails}`, ...own];
}
