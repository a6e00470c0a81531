import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serve } from '../../../test/support/harness.ts';

for (const [path, message, reply] of [
  ['greet.Greeter/SayHello', { greeting: 'Hello', name: 'you' }, 'Hello you!'],
  ['helloworld.Greeter/SayHello', { name: 'you' }, 'Hello, you!'],
] as const) {
  test(`${path} can be called with GET, as it has no side effects`, async () => {
    await using server = await serve({ engine: 'direct', tls: false });
    const call = { connect: 'v1', encoding: 'json', message: JSON.stringify(message) };
    const query = new URLSearchParams(call).toString();

    const response = await fetch(`http://${server.address}/${path}?${query}`);

    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { message: reply });
  });
}
