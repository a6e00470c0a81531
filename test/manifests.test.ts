import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import packageJson from '../package.json' with { type: 'json' };
import { loadConfig, settingRows } from '../src/config.ts';
import { createHealthState } from '../src/services/health_state.ts';

const k8s = join(import.meta.dirname, '../k8s');
const files = globSync('**/*.yaml', { cwd: k8s });
const text = (file: string) => readFileSync(join(k8s, file), 'utf8');
const read = (file: string) => parse(text(file));
const { spec: pod } = read('base/deployment.yaml').spec.template;
const [container] = pod.containers;
const kustomization = read('base/kustomization.yaml');
const literals: string[] = kustomization.configMapGenerator[0].literals;
const env = Object.fromEntries(literals.map((literal) => literal.split('=', 2)));
const config = loadConfig({ flags: {}, env });

test('the manifests set existing settings to valid values', () => {
  const known = settingRows().map((row) => row.env);
  const set = files.flatMap((file) => [...text(file).matchAll(/\b(GREETER_\w+)=?(.*)/g)]);

  assert.ok(set.length > literals.length);
  assert.deepEqual(
    set.map(([, name = '']) => name).filter((name) => !known.includes(name)),
    [],
  );
  const plain = set.flatMap(([, name = '', value]) =>
    name.endsWith('_FILE') ? [] : [[name, value]],
  );
  for (const pair of plain) loadConfig({ flags: {}, env: Object.fromEntries([pair]) });
});

test('the manifests run the version of the package', () => {
  const tags = files.flatMap((file) => [
    ...text(file).matchAll(/(?:newTag|image): (?:\S+:)?(\d\S*)/g),
  ]);

  assert.deepEqual(
    tags.map(([, tag]) => tag),
    ['base', 'job', 'production'].map(() => packageJson.version),
  );
});

test('a pod has time for preStop, shutdown delay and drain timeout, and 10 s to spare', () => {
  const { seconds } = container.lifecycle.preStop.sleep;
  const spareMs = 10_000;
  const stopMs = seconds * 1000 + config.shutdownDelay + config.drainTimeout + spareMs;

  assert.ok(stopMs <= pod.terminationGracePeriodSeconds * 1000, `${stopMs} ms`);
});

test("a pod's ephemeral storage fits the log that the kubelet keeps, with the longest lines", () => {
  const MB = 1e6;
  // KubeletConfiguration: containerLogMaxSize, containerLogMaxFiles, containerLogMonitorInterval.
  const [maxSize, maxFiles, interval] = [10 * 2 ** 20, 5, 10];
  // The maximum calls per second that one process served; the line of test/grpc_attacks/log.test.ts with an IPv6
  // address, and the prefix of the container runtime.
  const perSecond = 40_000 * 700;
  // The file is below the limit when the kubelet checks it, and grows until the next check.
  const file = maxSize + interval * perSecond;
  const compressed = file / 5;

  // The current file grows while the previous one is compressed, which takes as long again.
  const sum = 2 * file + interval * perSecond + (maxFiles - 2) * compressed;

  const limit = bytesOf(container.resources.limits['ephemeral-storage']);
  assert.ok(sum <= limit, `${Math.round(sum / MB)} of ${Math.round(limit / MB)} MB`);
  assert.match(text('base/deployment.yaml'), new RegExp(`# .*\\b${Math.round(sum / MB)} MB`));
});

test('the status of every container says why it ended', () => {
  const jobs = ['base/deployment.yaml', 'components/health-check-job/job.yaml'].map(read);
  const containers = jobs.flatMap(({ spec }) => spec.template.spec.containers);

  for (const { name, terminationMessagePolicy } of containers) {
    assert.equal(terminationMessagePolicy, 'FallbackToLogsOnError', name);
  }
});

test('the ports are those that are served, and the Services have all except the admin port', () => {
  const ports: { name: string; containerPort: number }[] = container.ports;

  assert.deepEqual(
    ports.map(({ containerPort }) => containerPort),
    [config.listen, config.healthListen, config.adminListen ?? []].flatMap(portsOf),
  );
  for (const file of ['base/service.yaml', 'components/client-lb/service.yaml']) {
    const service: { targetPort: string; port: number }[] = read(file).spec.ports;
    assert.deepEqual(
      service.map(({ targetPort, port }) => [targetPort, port]),
      ports
        .filter(({ name }) => name !== 'admin')
        .map(({ name, containerPort }) => [name, containerPort]),
      file,
    );
  }
});

test('the network policy allows clients to every gRPC port, and spans to their collector', () => {
  const { ingress, egress } = read('components/network-policy/networkpolicy.yaml').spec;
  const numbers = (rule: { ports: { port: number }[] }) => rule.ports.map(({ port }) => port);
  const otlp = { OTEL_TRACES_EXPORTER: 'otlp' };
  const { tracing } = loadConfig({ flags: {}, env: otlp });

  const [clients, monitoring] = ingress.map(numbers);
  // The health port is excluded: the kubelet needs no permission, and others could block its probes.
  assert.deepEqual(clients, portsOf(config.listen));
  assert.deepEqual(monitoring, portsOf(config.adminListen ?? []));
  assert.deepEqual(egress.map(numbers), [[53, 53], [Number(new URL(tracing?.url ?? '').port)]]);
});

test('the probes call names that health knows, on a port that is served', () => {
  const names = createHealthState([]).statuses;

  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
    const { port, service } = container[probe].grpc;
    assert.ok(names.has(service), service);
    assert.equal(port, container.ports[0].containerPort);
  }
});

test('the autoscaler removes no pod before a new one has its share of connections', () => {
  const { minReplicas, behavior } = read('components/hpa/horizontalpodautoscaler.yaml').spec;
  const oldestMs = config.maxConnectionAge * 1.1;

  assert.ok(behavior.scaleDown.stabilizationWindowSeconds * 1000 > oldestMs);
  assert.equal(minReplicas, read('base/deployment.yaml').spec.replicas);
});

test('the commands in the docs name what is in the manifests', () => {
  const documents = ['../README.md', '../docs/kubernetes.md'].map(text).join('\n');
  const commands = shellBlocks(documents)
    .filter((block) => block.includes('kubectl'))
    .join('\n');
  const named = (pattern: RegExp) => [...commands.matchAll(pattern)].map(([, name = '']) => name);

  const overlays = named(/apply -k k8s\/overlays\/(\S+)/g);
  assert.ok(overlays.includes('production'));
  const images = overlays.map(
    (overlay) => read(`overlays/${overlay}/kustomization.yaml`).images[0],
  );
  const { version } = packageJson;
  assert.deepEqual(
    named(/docker build -t (\S+)/g),
    images.map(({ newName, newTag = version }) => `${newName}:${newTag}`),
  );
  assert.deepEqual(
    named(/-n (\S+)/g).filter((name) => name !== read('namespace/namespace.yaml').metadata.name),
    [],
  );
  const { name } = read('base/deployment.yaml').metadata;
  assert.deepEqual([...new Set(named(/deployment\/(\S+)/g))], [name]);
  const { metadata, spec } = read('base/service.yaml');
  const ports = spec.ports.map(({ port }: { port: number }) => port);
  for (const forwarded of named(/port-forward service\/(.+)/g)) {
    assert.equal(forwarded, [metadata.name, ...ports].join(' '));
  }
});

/** Parses a quantity such as `64Mi`. */
function bytesOf(quantity: string): number {
  const { count, unit = '' } = /^(?<count>\d+)(?<unit>[KMG]i)$/.exec(quantity)?.groups ?? {};
  return Number(count) * 1024 ** ' KMG'.indexOf(unit.charAt(0));
}

test("the docs' script creates the Job that it waits for after the rollout has ended", () => {
  const job = read('components/health-check-job/job.yaml').metadata.name;
  const [script = assert.fail('no script waits for the Job'), ...others] = shellBlocks(
    text('../docs/kubernetes.md'),
  ).filter((block) => block.includes(`wait --for=condition=complete`));
  const lines = script.split('\n');
  const last = (part: string) => lines.findLastIndex((line) => line.includes(part));
  const steps = [
    lines.indexOf('set -e'),
    last('rollout status deployment/greeter'),
    last(`delete job ${job} --ignore-not-found`),
    last('apply -k'),
    last(`job/${job}`),
  ];

  assert.deepEqual(others, []);
  assert.equal(steps[0], 0);
  assert.deepEqual(
    steps,
    steps.toSorted((a, b) => a - b),
  );
});

test("the docs' Secrets have every file that a pod reads", () => {
  const [made = ''] = shellBlocks(text('../docs/kubernetes.md')).filter((block) =>
    block.includes('create secret'),
  );
  const given = [...made.matchAll(/--from-file=(\S+)/g)].map(([, file]) => file);
  const paths = files
    .filter((file) => file.startsWith('components/tls'))
    .flatMap((file) => [...text(file).matchAll(/\/run\/(?:client-)?tls\/(\S+)/g)])
    .map(([, file = '']) => file);

  assert.ok(paths.includes('ca.crt'));
  assert.deepEqual(
    paths.filter((path) => !given.includes(path)),
    [],
  );
  assert.ok(made.includes(` greeter-tls `));
});

/** The shell blocks of a document. */
function shellBlocks(document: string): string[] {
  return [...document.matchAll(/^```sh\n([^]*?)\n```$/gm)].map(([, block = '']) => block);
}

function portsOf(addresses: typeof config.listen): unknown[] {
  return addresses.map((address) => ('port' in address ? address.port : undefined));
}
