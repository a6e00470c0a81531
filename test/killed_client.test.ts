import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { EchoRequest } from './echo/gen/echo.ts';
import { serve, until } from './support/harness.ts';
import { kinds, rpcMethods, paths, waiting } from './support/kinds.ts';
import { connectRaw, frame } from './support/raw_client.ts';

const message = frame(EchoRequest.encode({ text: 'Bello Keys' }).finish());

for (const kind of kinds) {
  test(`a client that is killed during ${kind} calls leaves none open`, async () => {
    await using running = await serve({ echo: waiting() });
    const client = await connectRaw(running.address);
    for (let i = 0; i < 10; i++) {
      const stream = client.open(paths[kind]);
      if (kind === 'unary' || kind === 'serverStream') stream.end(message);
      else stream.write(message);
    }
    await until(() => running.openCalls.inChain === 10);

    client.reset();

    await until(() => running.openCalls.inChain === 0);
    const codes = running.log.lines.map(
      (line) => `${String(line['rpc.method'])} ${String(line['rpc.status_code'])}`,
    );
    assert.deepEqual([...new Set(codes)], [`${rpcMethods[kind]} CANCELLED`]);
    await running.shutdown();
  });
}

test('a client that is killed while it reads nothing leaves no call open', async () => {
  await using running = await serve({
    echo: {
      async *serverStream() {
        while (true) yield { text: 'x'.repeat(10_000) };
      },
    },
  });
  const client = await connectRaw(running.address, { initialWindowSize: 0 });
  client.open(paths.serverStream).end(message);
  await until(() => running.openCalls.inChain === 1);
  await client.roundTrip();

  client.reset();

  await until(() => running.openCalls.inChain === 0);
  await running.log.line({ 'rpc.method': rpcMethods.serverStream, 'rpc.status_code': 'CANCELLED' });
});

test('a client that resets an incomplete stream gets no response to it', async () => {
  await using running = await serve();
  const client = await connectRaw(running.address);
  for (const kind of ['clientStream', 'bidi'] as const) {
    const stream = client.open(paths[kind]);
    stream.write(message);
    await client.roundTrip();

    stream.close(8);

    await once(stream, 'close');
    await running.log.line({ 'rpc.method': rpcMethods[kind], 'rpc.status_code': 'CANCELLED' });
  }
  client.close();
});
