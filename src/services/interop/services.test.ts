import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../config.ts';
import { loadServices } from '../../services.ts';
import { exemptIn } from '../../transport/catalogue.ts';

test('--interop on adds the test service and load reports, --load-reports on the latter, each once', async () => {
  const orca = 'xds.service.orca.v3.OpenRcaService';
  const interop = ['grpc.testing.TestService', orca];
  const off = await namesWith(false, false);

  assert.ok(interop.every((name) => !off.includes(name)));
  assert.deepEqual(await namesWith(false, true), [...off, orca]);
  assert.deepEqual(await namesWith(true, false), [...off, ...interop]);
  assert.deepEqual(await namesWith(true, true), [...off, ...interop]);
});

test('XdsUpdateHealthService is exempt from limits, and so from faults', async () => {
  const services = await loadServices(loadConfig({ flags: { faults: 'on' }, env: {} }));

  const { unlimited } = exemptIn(services);

  for (const method of ['SetServing', 'SetNotServing']) {
    assert.ok(unlimited.has(`/grpc.testing.XdsUpdateHealthService/${method}`), method);
  }
});

async function namesWith(interop: boolean, loadReports: boolean): Promise<readonly string[]> {
  const config = loadConfig({ flags: { faults: 'off' }, env: {} });
  const settings = { ...config, interop, loadReports };
  return (await loadServices(settings)).map(({ definition }) => definition.fullName);
}
