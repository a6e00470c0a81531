import assert from 'node:assert/strict';
import { request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { withCompressionSlot } from '../src/engine/grpc/compression.ts';
import { EchoRequest } from './echo/gen/echo.ts';
import { eventually, serve, type ServeOptions } from './support/harness.ts';
import { paths } from './support/kinds.ts';
import { usedMemory } from './support/memory.ts';
import { connectRaw, frame } from './support/raw_client.ts';
import { scriptPaths } from './support/script.ts';

const MB = 1_000_000;
const stream = { 'content-type': 'application/connect+proto' };

async function serveRaw(options: ServeOptions = {}, settings = {}) {
  const server = await serve({ engine: 'direct', tls: false, ...options });
  return { server, client: await connectRaw(server.address, settings) };
}

for (const [kind, type] of [
  ['unary', 'application/json'],
  ['serverStream', 'application/connect+json'],
] as const) {
  test(`the bytes of a large response (${kind}) arrive in JSON`, async () => {
    const { server, client } = await serveRaw();
    await using _ = server;
    const text = Buffer.from('{"replies":[{"size":300000}]}');

    const call = client.open(scriptPaths[kind], { 'content-type': type });
    call.end(kind === 'unary' ? text : frame(text));
    const body = (await buffer(call)).toString('latin1');

    client.close();
    const [, payload = ''] = /"payload":"([^"]*)"/.exec(body) ?? [];
    assert.equal(payload.length, 400_000);
  });
}

test('large messages of streams are charged, also while nobody reads the responses', async () => {
  const { server, client } = await serveRaw(
    { limits: { maxBufferedBytes: 64 * MB } },
    { initialWindowSize: 0 },
  );
  await using _ = server;
  const message = frame(EchoRequest.encode({ text: 'x'.repeat(MB) }).finish());
  const before = await usedMemory();

  const calls = Array.from({ length: 4 }, () => client.open(paths.bidi, stream));
  for (const call of calls) for (let count = 0; count < 2; count++) call.write(message);
  let charged = 0;
  let isStill = 0;
  await eventually('rest', () => {
    const { bufferedBytes = 0 } = server.counts();
    isStill = bufferedBytes === charged && charged > 4 * MB ? isStill + 1 : 0;
    charged = bufferedBytes;
    return isStill > 20;
  });
  const taken = (await usedMemory()) - before;

  client.close();
  assert.ok(taken < charged * 1.1, `${taken} bytes are taken, ${charged} are charged`);
});

test('a stream is not read on while its service uses a large message', async () => {
  const asked = Promise.withResolvers<void>();
  const { server, client } = await serveRaw({
    echo: {
      async *bidi(requests) {
        for await (const { text } of requests) {
          await asked.promise;
          yield { text: String(text.length) };
        }
      },
    },
  });
  await using _ = server;
  const message = frame(EchoRequest.encode({ text: 'x'.repeat(MB) }).finish());

  const call = client.open(paths.bidi, stream);
  for (let count = 0; count < 3; count++) call.write(message);
  call.end();
  await eventually('the first message', () => (server.counts().bufferedBytes ?? 0) > 2 * MB);
  for (let count = 0; count < 20; count++) await client.roundTrip();
  const held = server.counts().bufferedBytes ?? 0;
  asked.resolve();
  const body = (await buffer(call)).toString('latin1');

  client.close();
  assert.ok(held < 4 * MB, `${held} bytes are held`);
  assert.equal(body.match(/1000000/g)?.length, 3);
});

test('responses that wait to be compressed are charged, and dropped if the client leaves', async () => {
  const { server, client } = await serveRaw();
  await using _ = server;
  const fields = { 'content-type': 'application/json', 'accept-encoding': 'br' };
  const text = JSON.stringify({ replies: [{ size: 3 * MB }] });

  const free = Promise.withResolvers<void>();
  const work = () => free.promise;
  const jobs = Array.from({ length: 4 }, () =>
    withCompressionSlot({ owner: { peer: undefined }, bytes: 1, work }),
  );

  const calls = Array.from({ length: 4 }, () => client.open(scriptPaths.unary, fields));
  for (const call of calls) call.end(text);
  // While a response is encoded as JSON, it is charged otherwise.
  const encoded = calls.length * JSON.stringify({ payload: 'A'.repeat(4 * MB) }).length;
  await eventually('the responses', () => responseBytes() === encoded);
  client.reset();
  await eventually('no streams', () => server.counts().streams === 0);
  // They cannot be freed before their turn.
  assert.equal(responseBytes(), encoded);
  free.resolve();
  await Promise.all(jobs);

  await eventually('no bytes', () => server.counts().bufferedBytes === 0);

  function responseBytes(): number {
    return server.counts().heldBytes?.['responses'] ?? 0;
  }
});

for (const type of ['application/connect+proto', 'application/grpc-web+proto']) {
  test(`a call counts as one open stream: ${type}`, async () => {
    const { server, client } = await serveRaw();
    await using _ = server;

    const call = client.open(paths.bidi, { 'content-type': type });
    call.write(frame(Buffer.alloc(0)));
    await eventually('a response', () => server.counts().calls === 1);
    const { streams } = server.counts();
    call.close();

    await eventually('the end', () => server.counts().streams === 0);
    client.close();
    assert.equal(streams, 1);
  });
}

test('the body of a request that was refused is not kept, even if nobody reads the answer', async () => {
  const { server, client } = await serveRaw({}, { initialWindowSize: 0 });
  await using _ = server;
  const fields = { 'content-type': 'application/json', 'content-encoding': 'none-such' };

  const call = client.open(scriptPaths.unary, fields);
  const answered = new Promise((resolve) => call.once('response', resolve));
  call.write(Buffer.alloc(60_000));
  await answered;
  await client.roundTrip();

  await eventually('the body is gone', () => (server.counts().bufferedBytes ?? 0) < 30_000);
  client.close();
});

test('a streamed response over HTTP/1.1 that nobody reads is charged at once, and freed if the client leaves', async () => {
  const { server, client } = await serveRaw({
    echo: { unary: async () => ({ text: 'x'.repeat(8 * MB) }) },
  });
  await using _ = server;
  client.close();
  const headers = { 'content-type': 'application/grpc-web+proto' };

  const call = request(`http://${server.address}${paths.unary}`, { method: 'POST', headers });
  const answered = new Promise((resolve) => call.once('response', resolve));
  call.on('error', () => {}).end(Buffer.alloc(5));
  await answered;
  const charged = server.counts().heldBytes?.['output'] ?? 0;
  const held = process.memoryUsage().arrayBuffers;
  call.destroy();

  assert.ok(charged > 7 * MB, `${charged} bytes are charged`);
  await eventually('free memory', () => process.memoryUsage().arrayBuffers < held - 7 * MB);
});
