import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  globSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Image } from './container.ts';

/** A fault of an image, or of its environment. */
export interface Mutation {
  /** After `the checks find`. */
  name: string;
  /** Changes the root folder of the image. */
  inFiles?: (root: string) => void;
  /** Flags of `buildah config`. */
  config?: readonly string[];
  /** The environment of the checks. */
  env?: Record<string, string>;
  /** A part of the title of the test that must fail, and of its message. */
  fails: string;
  saying: RegExp;
}

/** All mutations that apply to this image. */
export function mutationsOf({ config, isExe }: Image): Mutation[] {
  const [program = ''] = config.Entrypoint;
  return [...mutationsWith(program), ...(isExe ? [] : mutationsOfNode)];
}

function mutationsWith(program: string): Mutation[] {
  return [
    {
      name: 'a shell',
      inFiles: (root) => copyFileSync('/bin/sh', join(root, 'usr/bin/sh')),
      fails: 'nothing else',
      saying: /'usr\/bin\/sh'/,
    },
    {
      name: 'a file that its user may change',
      inFiles: (root) => chownSync(join(root, 'etc/passwd'), 65532, 65532),
      fails: 'belong to root',
      saying: /'etc\/passwd'/,
    },
    {
      name: 'a program that makes its user root',
      inFiles: (root) => chmodSync(join(root, program), 0o4755),
      fails: 'belong to root',
      saying: /'usr\/bin\/\w+'/,
    },
    {
      name: 'a licence that is not there',
      inFiles: (root) => rmSync(join(root, 'usr/share/common-licenses'), { recursive: true }),
      fails: 'contains the licences',
      saying: /copyright: \/usr\/share\/common-licenses/,
    },
    {
      name: 'root as its user',
      config: ['--user', '0:0'],
      fails: 'numeric user',
      saying: /'0:0'/,
    },
    {
      name: 'an entrypoint for a shell',
      config: ['--entrypoint', `${program} serve`],
      fails: 'numeric user',
      saying: /\/bin\/sh -c/,
    },
    {
      name: 'what makes it too large',
      inFiles: (root) => appendFileSync(join(root, program), Buffer.alloc(30_000_000)),
      fails: 'maximum size',
      saying: /\d{9} bytes/,
    },
    {
      name: 'a library that is not there',
      inFiles(root) {
        for (const file of globSync(join(root, 'lib/*/libstdc++.so.6'))) rmSync(file);
      },
      fails: 'its own health command',
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
      config: ['--env', 'GREETER_SHUTDOWN_DELAY=1s'],
      fails: 'shuts down within a second',
      saying: /\d{4}\.\d+ ms/,
    },
    {
      name: 'another limit of memory',
      env: { RUN_FLAGS: '--memory=128m' },
      fails: 'limits its heap',
      saying: /134217728/,
    },
  ];
}

const mutationsOfNode: Mutation[] = [
  {
    name: 'a Node without a language',
    inFiles(root) {
      const node = join(root, 'usr/bin/node');
      const program = readFileSync(node);
      // The position of German in ICU's data, which are sorted by name.
      for (let at = 0; (at = program.indexOf('/de.res\0', at)) !== -1; at += 1)
        program.write('/dd', at);
      writeFileSync(node, program);
    },
    fails: 'every locale',
    saying: /'M01'|'January'/,
  },
  {
    name: "Node's own limit of the heap",
    config: ['--env', 'NODE_OPTIONS='],
    fails: 'limits its heap',
    saying: /\d+\.\d MiB/,
  },
  {
    name: 'nothing compiled before',
    inFiles: (root) => rmSync(join(root, 'app/cache'), { recursive: true }),
    fails: 'compile cache',
    saying: /was accepted/,
  },
];
