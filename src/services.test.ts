import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadServices, type ServiceSettings } from './services.ts';
import { exemptIn, methodsOf } from './transport/catalogue.ts';

const orca = 'xds.service.orca.v3.OpenRcaService';
const off: ServiceSettings = { interop: false, loadReports: false };

async function namesWith(settings: Partial<ServiceSettings>): Promise<readonly string[]> {
  const services = await loadServices({ ...off, ...settings });
  return services.map(({ definition }) => definition.fullName);
}

test('loadServices() adds the services that settings enable, each once', async () => {
  const base = await namesWith({});

  assert.ok(base.includes('grpc.health.v1.Health'));
  assert.deepEqual(await namesWith({ loadReports: true }), [...base, orca]);
  const interop = [...base, 'grpc.testing.TestService', orca];
  assert.deepEqual(await namesWith({ interop: true }), interop);
  assert.deepEqual(await namesWith({ interop: true, loadReports: true }), interop);
});

test('exemptIn() returns the paths of the methods that policies name', async () => {
  const { longLived, unlimited, essential } = exemptIn(
    await loadServices({ ...off, interop: true }),
  );

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
