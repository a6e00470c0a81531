import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../config.ts';
import { loadServices } from '../../services.ts';

test('--interop on adds the test service and load reports, each once', async () => {
  const interop = ['grpc.testing.TestService', 'xds.service.orca.v3.OpenRcaService'];
  const off = await namesWith(false, false);

  assert.ok(interop.every((name) => !off.includes(name)));
  assert.deepEqual(await namesWith(true, false), [...off, ...interop]);
  assert.deepEqual(await namesWith(true, true), [...off, ...interop]);
});

async function namesWith(interop: boolean, loadReports: boolean): Promise<readonly string[]> {
  const settings = { ...loadConfig({ flags: {}, env: {} }), interop, loadReports };
  return (await loadServices(settings)).map(({ definition }) => definition.fullName);
}
