import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bundle } from '../release/bundle.ts';

const built = join(import.meta.dirname, '../dist/greeter.mjs');

test('bundle() is reproducible', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [one, two] = [join(folder, 'one/greeter.mjs'), join(folder, 'two/greeter.mjs')];

  await bundle(one);
  await bundle(two);

  assert.ok(readFileSync(one).equals(readFileSync(two)));
});

test('the source map beside the built file maps stacks to the sources', () => {
  const failing = `import os from 'node:os';
    import { syncBuiltinESMExports } from 'node:module';
    os.hostname = () => { throw new Error('on purpose'); };
    syncBuiltinESMExports();`;
  const flags = ['--enable-source-maps', '--import', `data:text/javascript,${encodeURI(failing)}`];

  const { stderr } = spawnSync(process.execPath, [...flags, built, '--version'], {
    encoding: 'utf8',
  });

  assert.match(stderr, /^Error: on purpose\n(.*\n)?.* \(\S+\/src\/main\.ts:\d+:\d+\)$/m);
});

test('the licences beside the built file name every bundled package', () => {
  const licences = readFileSync(`${built}.LEGAL.txt`, 'utf8');

  const packages = packagesInside();
  assert.ok(packages.length > 40);
  for (const { name, version } of packages) assert.ok(licences.includes(`\n${name} ${version} (`));
  for (const words of ['Apache License', 'Permission is hereby granted', 'Redistributions of']) {
    assert.ok(licences.includes(words));
  }
});

test('the SBOM beside the built file has the bundled packages', () => {
  const sbom = JSON.parse(readFileSync(`${built}.cdx.json`, 'utf8'));

  const known = packagesInside().map(({ name, version }) => `${name}@${version}`);
  const listed: { 'bom-ref': string; hashes: unknown[] }[] = sbom.components;
  assert.deepEqual(listed.map((each) => each['bom-ref']).toSorted(), known.toSorted());
  assert.ok(listed.every(({ hashes: [hash] }) => hash));
  const refs = new Set([...known, sbom.metadata.component['bom-ref']]);
  for (const { ref, dependsOn } of sbom.dependencies) {
    assert.ok(refs.has(ref));
    assert.deepEqual(new Set(dependsOn).difference(refs), new Set());
  }
});

/** The npm packages in the built file, where each part starts with the name of its source file. */
function packagesInside(): { name: string; version: string }[] {
  const parts = readFileSync(built, 'utf8').matchAll(
    /^ *\/\/ (.*node_modules\/(?:@[^/]+\/)?[^/\s]+)\/\S+$/gm,
  );
  return [...new Set([...parts].map(([, folder = '']) => folder))].map((folder) =>
    JSON.parse(readFileSync(join(import.meta.dirname, '..', folder, 'package.json'), 'utf8')),
  );
}
