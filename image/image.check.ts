// Tests the contents of an image: IMAGE=ARCHIVE node --test --test-timeout=90000 image/image.check.ts
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import packageJson from '../package.json' with { type: 'json' };
import { imageUnderTest, withFiles } from './container.ts';

const image = imageUnderTest();
/** If the image exceeds it, find out what was added before raising it. */
const mostBytes = 128_000_000;

/** Everything that may be in the image. */
const known = [
  /^usr\/bin\/(node|greeter)$/,
  /^lib(64)?\/([a-z0-9_]+-linux-gnu\/)?[\w+.-]+\.so\.\d+$/,
  /^etc\/(passwd|group|nsswitch\.conf)$/,
  /^app\/(greeter\.mjs|cache\/v[^/]+\/[0-9a-f]+)$/,
  /^(app|usr\/share\/doc\/[^/]+)\/(greeter(\.mjs)?\.LEGAL\.txt|LICENSE|copyright)$/,
  /^usr\/share\/common-licenses\/L?GPL-[0-9.]+$|^usr\/share\/common-licenses\/GFDL-1.2$/,
];

test('an image contains a program, its libraries, names and licences, and nothing else', (t) => {
  withFiles(image, (entries) => {
    const files = entries.filter(({ isFolder }) => !isFolder);
    for (const { path, size } of files) t.diagnostic(`${path} ${size}`);

    assert.deepEqual(
      files.map(({ path }) => path).filter((path) => !known.some((one) => one.test(path))),
      [],
    );
    const programs = files.filter(({ path }) => path.startsWith('usr/bin/'));
    assert.deepEqual(
      programs.map(({ path }) => `/${path}`),
      image.config.Entrypoint.slice(0, 1),
    );
  });
});

test('all files of an image belong to root and are writable by root only', () => {
  withFiles(image, (entries) => {
    const strays = entries.filter(({ uid, gid, mode }) => uid + gid !== 0 || (mode & 0o6022) !== 0);

    assert.deepEqual(
      strays.map(({ path }) => path),
      [],
    );
  });
});

test('an image contains the licences of all of its software', () => {
  withFiles(image, (entries, root) => {
    const paths = entries.map(({ path }) => path);
    const texts = paths.filter((path) => path.endsWith('/copyright'));

    const expected = ['greeter/LICENSE', 'node/LICENSE', 'libc6/copyright', 'libstdc++6/copyright'];
    for (const each of expected) assert.ok(paths.includes(`usr/share/doc/${each}`), each);
    assert.ok(paths.some((path) => path.endsWith('.LEGAL.txt')));
    for (const text of texts) {
      const named = readFileSync(join(root, text), 'utf8').matchAll(
        /\/usr\/share\/common-licenses\/[A-Z]+-[\d.]*\d/g,
      );
      for (const [file] of named) assert.ok(existsSync(join(root, file)), `${text}: ${file}`);
    }
  });
});

test('an image runs as a numeric user, without a shell, and has labels', () => {
  const { User, Entrypoint, Labels, Env } = image.config;
  const label = (name: string) => Labels[`org.opencontainers.image.${name}`];

  assert.equal(User, '65532:65532');
  assert.match(Entrypoint.join(' '), /^\/usr\/bin\/(greeter|node \/app\/greeter\.mjs)$/);
  assert.ok(Env.includes('TZ=UTC'));
  assert.equal(label('version'), packageJson.version);
  assert.equal(label('licenses'), packageJson.license);
  const git = { cwd: import.meta.dirname, encoding: 'utf8' } as const;
  const commit = execFileSync('git', ['rev-parse', 'HEAD'], git).trim();
  assert.equal(label('revision')?.replace('-dirty', ''), commit);
  assert.ok(label('title') && label('description'));
});

test('an image does not exceed its maximum size', (t) => {
  t.diagnostic(`${image.size} bytes`);
  assert.ok(image.size <= mostBytes, `${image.size} bytes`);
});
