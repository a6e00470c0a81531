import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { loadConfig } from '../../src/config.ts';
import { TestServiceDefinition } from '../../src/gen/grpc/testing/test.ts';
import { loadServices } from '../../src/services.ts';
import { install } from '../support/program.ts';

test('the built file serves the interop services by default', async () => {
  using program = install();
  const server = await program.serve();
  const client = createClient(TestServiceDefinition, server.channel);

  const { payload } = await client.unaryCall({ responseSize: 10 });

  assert.equal(payload?.body.length, 10);
});

test('--interop off serves everything but the interop services', async () => {
  using program = install();
  const server = await program.serve(['--interop', 'off']);
  const client = createClient(TestServiceDefinition, server.channel);

  const { services } = await server.log.line({ msg: 'serving' });

  const config = loadConfig({ flags: { interop: 'off' }, env: {} });
  const listed = await loadServices(config);
  assert.deepEqual(
    services,
    listed.map(({ definition }) => definition.fullName),
  );
  await assert.rejects(client.emptyCall({}), { code: Status.UNIMPLEMENTED });
});
