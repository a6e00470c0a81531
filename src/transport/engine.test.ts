import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Metadata, Status } from 'nice-grpc-common';
import type { Timed } from '../context.ts';
import { PingDefinition } from '../../test/echo/gen/echo.ts';
import { dial } from './client.ts';
import type { EngineName } from './engine_types.ts';
import { createEngine } from '../../test/support/engine.ts';

const limits = { maxConcurrentStreams: 7, maxMessageSize: 1024 };

/** Serves the ping service, whose handler passes each call's context to `see`. */
async function servePing(name: EngineName, see: (context: Timed) => void = () => {}) {
  const server = await createEngine(name, limits);
  server.add(PingDefinition, {
    async ping({ text }, context) {
      see(context);
      return { text };
    },
  });
  const address = `127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 })}`;
  const channel = dial({ address });
  return {
    address,
    client: createClient(PingDefinition, channel),
    async [Symbol.asyncDispose]() {
      channel.close();
      await server.shutdown();
    },
  };
}

for (const name of ['direct', 'grpc-js'] as const) {
  test(`${name} accepts messages up to the limit, and ends calls with larger ones with RESOURCE_EXHAUSTED`, async () => {
    await using running = await servePing(name);
    // A text of n letters is n + 3 bytes on the wire, when n takes two bytes to write.
    const largest = 'x'.repeat(1024 - 3);

    const { text } = await running.client.ping({ text: largest });

    assert.equal(text, largest);
    await assert.rejects(running.client.ping({ text: `${largest}x` }), {
      code: Status.RESOURCE_EXHAUSTED,
    });
  });

  test(`${name} announces the maximum number of open calls to each connection`, async () => {
    await using running = await servePing(name);
    const session = connect(`http://${running.address}`);

    const [settings] = await once(session, 'remoteSettings');
    session.destroy();

    assert.equal(settings.maxConcurrentStreams, 7);
  });

  test(`${name} passes the caller's deadline in the context, whatever metadata contains`, async () => {
    const seen: (number | undefined)[] = [];
    await using running = await servePing(name, ({ deadline }) => void seen.push(deadline));
    const madeUp = { 'greeter-deadline-ms': '1' };
    const before = performance.now();

    await running.client.ping({}, { metadata: Metadata(madeUp) });
    await running.client.ping({}, { metadata: Metadata({ ...madeUp, 'grpc-timeout': '30S' }) });

    const [none, some = 0] = seen;
    assert.equal(none, undefined);
    assert.ok(some >= before + 30_000 && some <= performance.now() + 30_000);
  });

  test(`${name} names an unknown method`, async () => {
    await using running = await servePing(name);
    const method = { ...PingDefinition.methods.ping, name: 'Goodbye' };
    const definition = { ...PingDefinition, methods: { goodbye: method } };
    const client = createClient(definition, dial({ address: running.address }));

    await assert.rejects(client.goodbye({}), {
      code: Status.UNIMPLEMENTED,
      details: /\/echo.Ping\/Goodbye/,
    });
  });
}
