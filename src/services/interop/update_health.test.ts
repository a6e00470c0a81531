import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { serve } from '../../../test/support/harness.ts';
import { XdsUpdateHealthServiceDefinition } from '../../gen/grpc/testing/test.ts';

test('XdsUpdateHealthService takes the server out of readiness, and back', async () => {
  await using server = await serve();
  const client = createClient(XdsUpdateHealthServiceDefinition, server.channel);
  const names = ['', 'readiness', 'helloworld.Greeter', 'liveness'];
  const serving = () => names.map((name) => server.state.isServing(name));

  await client.setNotServing({});
  const out = serving();
  await client.setServing({});
  const back = serving();

  assert.deepEqual(out, [false, false, false, true]);
  assert.deepEqual(back, [true, true, true, true]);
});
