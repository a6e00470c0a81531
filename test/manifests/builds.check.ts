import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Build, build, choices, overlays } from './builds.ts';
import { problemsOf } from './rules.ts';
import { kubeconform, kubernetesVersions, kubeScore } from './tools.ts';

const builds = await build(choices);
after(() => builds[Symbol.dispose]());

/** What kube-score may find, where, and why. */
const exceptions = [
  {
    check: 'container-image-pull-policy',
    where: ({ name }: Build) => name !== 'production',
    why: 'the image may be one that no registry has, loaded onto the nodes',
  },
  {
    check: 'deployment-replicas',
    where: ({ name }: Build) => name === 'dev',
    why: 'with one pod, all calls are in one log',
  },
  {
    check: 'pod-networkpolicy',
    where: (build: Build) => !build.components.includes('network-policy'),
    why: 'it is a component, as each cluster has its own network policy',
  },
];

test('kustomize builds every overlay and every combination of components', () => {
  assert.equal(builds.all.length, overlays.length + 192);
});

for (const version of kubernetesVersions) {
  test(`kubeconform validates every object for Kubernetes ${version}`, async () => {
    const { valid, problems } = await kubeconform(builds.folder, version);

    assert.deepEqual(problems, []);
    assert.equal(valid, builds.all.flatMap(({ objects }) => objects).length);
  });
}

test('kube-score finds the listed exceptions, and nothing else', async () => {
  for (const each of builds.all) {
    const excepted = exceptions.filter(({ where }) => where(each)).map(({ check }) => check);
    assert.deepEqual(await kubeScore(each.file), excepted, each.name);
  }
});

test("the project's own rules find nothing", () => {
  const problems = builds.all.flatMap(({ name, objects }) =>
    problemsOf(objects).map((problem) => `${name}: ${problem}`),
  );

  assert.deepEqual(problems, []);
});
