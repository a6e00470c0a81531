// Each check of an image can fail: IMAGE=ARCHIVE node --test --test-timeout=90000 image/wrong.check.ts
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildah, imageUnderTest } from './container.ts';
import { type Wrong, wrongsOf } from './wrongs.ts';

const good = imageUnderTest();

for (const wrong of wrongsOf(good)) {
  test(`the checks find ${wrong.name}`, () => {
    const id = broken(wrong);

    const flags = ['--test', '--test-timeout=60000', ...flagsFor(wrong)];
    const { status, stdout } = spawnSync(process.execPath, flags, {
      encoding: 'utf8',
      // It would print what only a parent of its own reads.
      env: { ...process.env, ...wrong.env, IMAGE: id, NODE_TEST_CONTEXT: undefined },
    });

    assert.equal(status, 1, stdout);
    assert.match(stdout, /^. fail 1$/m);
    assert.match(stdout, wrong.saying);
    buildah('rmi', '--force', id);
  });
}

/** The image, broken: its id. */
function broken({ inFiles, config }: Wrong): string {
  const container = buildah('from', good.id);
  inFiles?.(buildah('mount', container));
  if (config) buildah('config', ...config, container);
  return buildah('commit', '--quiet', '--rm', container, 'localhost/greeter-wrong');
}

function flagsFor({ fails }: Wrong): string[] {
  const files = ['container', 'image'].map((name) => join(import.meta.dirname, `${name}.check.ts`));
  return ['--test-reporter=spec', `--test-name-pattern=${fails}`, ...files];
}
