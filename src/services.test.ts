import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from './config.ts';
import { loadServices } from './services.ts';
import type { Service } from './services/service.ts';
import { exemptIn, methodsOf } from './transport/catalogue.ts';

const orca = 'xds.service.orca.v3.OpenRcaService';
const off = { ...loadConfig({ flags: { faults: 'off' }, env: {} }), loadReports: false };

test('loadServices() adds the services that settings enable', async () => {
  const base = namesOf(await loadServices(off));
  const withReports = namesOf(await loadServices({ ...off, loadReports: true }));

  assert.ok(base.includes('grpc.health.v1.Health'));
  // Other settings may enable it, too.
  assert.deepEqual(new Set(withReports), new Set([...base, orca]));
  assert.equal(withReports.filter((name) => name === orca).length, 1);
});

test('exemptIn() returns the paths of the methods that policies name', async () => {
  const services = await loadServices({ ...off, loadReports: true });

  const { longLived, unlimited, essential } = exemptIn(services);

  const check = '/grpc.health.v1.Health/Check';
  const list = '/grpc.health.v1.Health/List';
  const watch = '/grpc.health.v1.Health/Watch';
  const reflection = ['v1', 'v1alpha'].map(
    (version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  );
  assert.deepEqual([...longLived], [watch, ...reflection, `/${orca}/StreamCoreMetrics`]);
  assert.deepEqual([...unlimited], [check, list, watch, ...reflection]);
  assert.deepEqual([...essential], [check, list]);
});

test('methodsOf() names every method with its kind', async () => {
  const methods = methodsOf(await loadServices(off));

  assert.deepEqual(
    methods
      .filter(({ service }) => service === 'grpc.health.v1.Health')
      .map(({ path, type }) => [path, type]),
    [
      ['/grpc.health.v1.Health/Check', 'unary'],
      ['/grpc.health.v1.Health/List', 'unary'],
      ['/grpc.health.v1.Health/Watch', 'server_stream'],
    ],
  );
});

function namesOf(services: readonly Service<never>[]): readonly string[] {
  return services.map(({ definition }) => definition.fullName);
}
