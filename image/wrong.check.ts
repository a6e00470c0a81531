// Each check of an image can fail: IMAGE=ARCHIVE node --test image/wrong.check.ts
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, copyFileSync, globSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildah, imageUnderTest } from './container.ts';

const good = imageUnderTest();
const [program = ''] = good.config.Entrypoint;

interface Wrong {
  /** What is wrong. */
  name: string;
  /** Makes it so, in the folder that is the image's root. */
  inFiles?: (root: string) => void;
  /** The flags of `buildah config` that make it so. */
  config?: readonly string[];
  /** What the checks are run with. */
  env?: Record<string, string>;
  /** A part of the name of the test that must fail, and what it must say. */
  fails: string;
  saying: RegExp;
}

const wrongs: Wrong[] = [
  {
    name: 'a shell',
    inFiles: (root) => copyFileSync('/bin/sh', join(root, 'usr/bin/sh')),
    fails: 'nothing else',
    saying: /'usr\/bin\/sh'/,
  },
  {
    name: 'a file that its user may change',
    inFiles: (root) => chownSync(join(root, 'etc/passwd'), 65532, 65532),
    fails: 'all in an image belongs to root',
    saying: /'etc\/passwd'/,
  },
  {
    name: 'a program that makes its user root',
    inFiles: (root) => chmodSync(join(root, program), 0o4755),
    fails: 'all in an image belongs to root',
    saying: /'usr\/bin\/\w+'/,
  },
  {
    name: 'a licence that is not there',
    inFiles: (root) => rmSync(join(root, 'usr/share/common-licenses'), { recursive: true }),
    fails: 'has the licence',
    saying: /copyright: \/usr\/share\/common-licenses/,
  },
  {
    name: 'root as its user',
    config: ['--user', '0:0'],
    fails: 'by number',
    saying: /'0:0'/,
  },
  {
    name: 'an entrypoint for a shell',
    config: ['--entrypoint', `${program} serve`],
    fails: 'by number',
    saying: /\/bin\/sh -c/,
  },
  {
    name: 'what makes it too large',
    inFiles: (root) => appendFileSync(join(root, program), Buffer.alloc(30_000_000)),
    fails: 'no larger',
    saying: /\d{9} bytes/,
  },
  {
    name: 'a library that is not there',
    inFiles(root) {
      for (const file of globSync(join(root, 'lib/*/libstdc++.so.6'))) rmSync(file);
    },
    fails: 'its own commands',
    saying: /did not serve: .*libstdc\+\+/,
  },
  {
    name: 'no prober beside it',
    env: { FOREIGN: '/missing' },
    fails: "the kubelet's prober",
    saying: /ENOENT/,
  },
  {
    name: 'a process of root',
    config: ['--user', '0:0'],
    fails: 'process 1',
    saying: /'0\\t0\\t0\\t0'/,
  },
  {
    name: 'a capability',
    env: { RUN_FLAGS: '--cap-add=CHOWN' },
    fails: 'process 1',
    saying: /'0000000000000001'/,
  },
  {
    name: 'a root that it can write',
    env: { RUN_FLAGS: '--read-only=false' },
    fails: 'process 1',
    saying: / \/ \/ rw,/,
  },
  {
    name: 'a process that is not the first',
    env: { RUN_FLAGS: '--pid=host' },
    fails: 'process 1',
    saying: /\\t1\$/,
  },
  {
    name: 'a second to leave',
    config: ['--env', 'GREETER_LEAVE_DELAY=1s'],
    fails: 'leaves within a second',
    saying: /\d{4}\.\d+ ms/,
  },
  {
    name: 'another limit of memory',
    env: { RUN_FLAGS: '--memory=128m' },
    fails: 'a heap that fits',
    saying: /134217728/,
  },
];

const wrongsOfNode: Wrong[] = [
  {
    name: "Node's own limit of the heap",
    config: ['--env', 'NODE_OPTIONS='],
    fails: 'a heap that fits',
    saying: /\d+\.\d MiB/,
  },
  {
    name: 'nothing compiled before',
    inFiles: (root) => rmSync(join(root, 'app/cache'), { recursive: true }),
    fails: 'compiled before',
    saying: /was accepted/,
  },
];

for (const wrong of [...wrongs, ...(good.isExe ? [] : wrongsOfNode)]) {
  test(`the checks find ${wrong.name}`, () => {
    const id = broken(wrong);

    const { status, stdout } = spawnSync(process.execPath, ['--test', ...flagsFor(wrong)], {
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
