import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { build, components } from './builds.ts';
import type { Manifest } from './manifest.ts';
import { problemsOf } from './rules.ts';
import { invalid, type Mutation, unconfined, wrong } from './mutations.ts';
import { kubeconform, kubernetesVersions, kubeScore } from './tools.ts';

const builds = await build([components]);
after(() => builds[Symbol.dispose]());
const whole = builds.all.find(({ name }) => name.startsWith('base'))?.file ?? '';

test('kubeconform finds each mutation', async () => {
  // All in one run: it reads the schemas of all Kubernetes first.
  const folder = join(builds.folder, '../mutated');
  mkdirSync(folder);
  invalid.forEach((mutation, i) =>
    writeFileSync(join(folder, `${i}.yaml`), mutated(mutation).object),
  );

  const { valid, problems } = await kubeconform(folder, kubernetesVersions[0]);

  assert.equal(valid, 0);
  for (const { kind, problem } of invalid) {
    const told = problems.some((each) => each.startsWith(kind) && each.includes(problem));
    assert.ok(told, `${kind}: ${problem}\n${problems.join('\n')}`);
  }
});

for (const { problem, ...mutation } of wrong) {
  test(`problemsOf() finds ${mutation.what}`, () => {
    const problems = problemsOf(mutated(mutation).objects);

    assert.ok(problems.includes(problem), problems.join('\n'));
  });
}

test(`kube-score finds ${unconfined.what}`, async () => {
  const file = join(builds.folder, '../mutated.yaml');
  writeFileSync(file, mutated(unconfined).object);

  const found = await kubeScore(file);

  assert.ok(found.includes('container-security-context-readonlyrootfilesystem'), found.join('\n'));
});

/** One thing made wrong: the object, in YAML, and all that there is with it in its place. */
function mutated({ kind, path, to }: Mutation): { object: string; objects: readonly Manifest[] } {
  const documents = parseAllDocuments(readFileSync(whole, 'utf8'));
  const document = documents.find((each) => each.get('kind') === kind);
  assert.ok(document, `${kind} is not there`);
  const keys = path.split('.').map((key) => (/^\d+$/.test(key) ? Number(key) : key));
  if (to === undefined) assert.ok(document.deleteIn(keys), `${path} is not there`);
  else document.setIn(keys, to);
  return {
    object: document.toString(),
    objects: documents.map((each): Manifest => each.toJS()),
  };
}
