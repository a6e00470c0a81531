import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import packageJson from '../package.json' with { type: 'json' };
import { loadConfig, settingRows } from '../src/config.ts';
import { createHealthState } from '../src/services/health_state.ts';

const base = join(import.meta.dirname, '../k8s/base');
const read = (name: string) => parse(readFileSync(join(base, name), 'utf8'));
const { spec: pod } = read('deployment.yaml').spec.template;
const [container] = pod.containers;
const kustomization = read('kustomization.yaml');
const literals: string[] = kustomization.configMapGenerator[0].literals;
const env = Object.fromEntries(literals.map((literal) => literal.split('=', 2)));
const config = loadConfig({ flags: {}, env });

test('the manifests set variables that are settings', () => {
  const known = settingRows().map((row) => row.env);

  assert.deepEqual(
    Object.keys(env).filter((name) => !known.includes(name)),
    [],
  );
});

test('the manifests run the version that this is', () => {
  assert.equal(kustomization.images[0].newTag, packageJson.version);
});

test('a pod has the time to stop in order: preStop, leave delay and drain timeout', () => {
  const stopMs =
    container.lifecycle.preStop.sleep.seconds * 1000 + config.leaveDelay + config.drainTimeout;

  assert.ok(stopMs < pod.terminationGracePeriodSeconds * 1000, `${stopMs} ms`);
});

test('the ports are those that are served, and the Service has all but the admin port', () => {
  const portsOf = (addresses: typeof config.listen): unknown[] =>
    addresses.map((address) => ('port' in address ? address.port : undefined));
  const ports: { name: string; containerPort: number }[] = container.ports;
  const service: { targetPort: string; port: number }[] = read('service.yaml').spec.ports;

  assert.deepEqual(
    ports.map(({ containerPort }) => containerPort),
    [config.listen, config.healthListen, config.adminListen ?? []].flatMap(portsOf),
  );
  assert.deepEqual(
    service.map(({ targetPort, port }) => [targetPort, port]),
    ports
      .filter(({ name }) => name !== 'admin')
      .map(({ name, containerPort }) => [name, containerPort]),
  );
});

test('the probes ask for names that health knows, on a port that is served', () => {
  const names = createHealthState([]).statuses;

  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
    const { port, service } = container[probe].grpc;
    assert.ok(names.has(service), service);
    assert.equal(port, container.ports[0].containerPort);
  }
});
