import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { build, components } from './builds.ts';
import type { Manifest } from './manifest.ts';
import { problemsOf } from './rules.ts';
import { invalid, type Spoil, unconfined, wrong } from './spoils.ts';
import { kubeconform, kubernetesVersions, kubeScore } from './tools.ts';

const builds = await build([components]);
after(() => builds[Symbol.dispose]());
const whole = builds.all.find(({ name }) => name.startsWith('base'))?.file ?? '';

for (const spoil of invalid) {
  test(`kubeconform tells ${spoil.what} of a ${spoil.kind}`, async () => {
    const { problems } = await kubeconform(spoilt(spoil).file, kubernetesVersions[0]);

    assert.equal(problems.length, 1);
    assert.ok(problems[0]?.startsWith(spoil.kind), problems.join());
  });
}

for (const { problem, ...spoil } of wrong) {
  test(`problemsOf() tells ${spoil.what}`, () => {
    const problems = problemsOf(spoilt(spoil).objects);

    assert.ok(problems.includes(problem), problems.join('\n'));
  });
}

test(`kube-score tells ${unconfined.what}`, async () => {
  const found = await kubeScore(spoilt(unconfined).file);

  assert.ok(found.includes('container-security-context-readonlyrootfilesystem'), found.join('\n'));
});

/** All that there is, with one thing made wrong. */
function spoilt({ kind, path, to }: Spoil): { file: string; objects: readonly Manifest[] } {
  const documents = parseAllDocuments(readFileSync(whole, 'utf8'));
  const document = documents.find((each) => each.get('kind') === kind);
  const keys = path.split('.').map((key) => (/^\d+$/.test(key) ? Number(key) : key));
  if (to === undefined) assert.ok(document?.deleteIn(keys), `${path} is not there`);
  else document?.setIn(keys, to);
  const file = join(builds.folder, '../spoilt.yaml');
  writeFileSync(file, documents.map((each) => each.toString()).join(''));
  return { file, objects: documents.map((each): Manifest => each.toJS()) };
}
