import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { EchoReply, EchoRequest } from './echo/gen/echo.ts';
import { type Running, serve } from './support/harness.ts';
import { paths } from './support/kinds.ts';
import { connectRaw, frame, type RawClient, unframe } from './support/raw_client.ts';

test('a bidirectional stream is not read far ahead of a client that does not read', async () => {
  const read = { count: 0 };
  await using running = await serveEcho(read);
  const client = await connectRaw(running.address, { initialWindowSize: 0 });
  const stream = client.open(paths.bidi);
  const message = frame(EchoRequest.encode({ text: 'x'.repeat(1000) }).finish());

  for (let i = 0; i < 10_000; i++) stream.write(message);
  await settled(client, () => read.count);

  assert.ok(read.count > 0 && read.count < 100, `${read.count} of 10000 requests were read`);
  client.close();
});

test('streams of clients that do not read delay no other call of their connection', async () => {
  const read = { count: 0 };
  await using running = await serveEcho(read);
  const client = await connectRaw(running.address);
  const message = frame(EchoRequest.encode({ text: 'x'.repeat(1000) }).finish());
  // Five times a stream's window is more than a connection could send if it were held back.
  for (let i = 0; i < 5; i++) {
    const stream = client.open(paths.bidi);
    for (let j = 0; j < 1000; j++) stream.write(message);
  }
  await settled(client, () => read.count);

  const unary = client.open(paths.unary);
  unary.end(frame(EchoRequest.encode({ text: 'Hello you' }).finish()));
  const [reply] = unframe(await buffer(unary));

  assert.ok(read.count < 5000, 'the streams were not held back');
  assert.equal(EchoReply.decode(reply ?? Buffer.alloc(0)).text, 'Hello you');
  client.close();
});

test('a server stream stops after a limited number of responses if its client does not read', async () => {
  let made = 0;
  await using running = await serve({
    echo: {
      async *serverStream() {
        while (true) yield { text: `${++made} ${'x'.repeat(1000)}` };
      },
    },
  });
  const client = await connectRaw(running.address, { initialWindowSize: 0 });
  client.open(paths.serverStream).end(frame(EchoRequest.encode({ text: '' }).finish()));

  await settled(client, () => made);

  assert.ok(made > 0 && made < 100, `${made} replies were made`);
  client.close();
});

test('a stream of 1,000 small messages is sent in a few writes', async (t) => {
  await using running = await serve({
    engine: 'direct',
    echo: {
      async *serverStream() {
        for (let i = 0; i < 1000; i++) yield { text: `Hello ${i}` };
      },
    },
  });
  const stream = (await connectRaw(running.address)).open(paths.serverStream);
  const port = Number(running.address.split(':')[1]);
  const writes: number[] = [];
  // oxlint-disable-next-line typescript/unbound-method -- it is called with the socket below
  const original: (this: Socket, bytes: Uint8Array) => boolean = Socket.prototype.write;
  t.mock.method(Socket.prototype, 'write', function write(this: Socket, bytes: Uint8Array) {
    if (this.localPort === port) writes.push(bytes.length);
    return original.call(this, bytes);
  });

  stream.end(frame(EchoRequest.encode({ text: '' }).finish()));
  const messages = unframe(await buffer(stream));

  assert.equal(messages.length, 1000);
  assert.ok(writes.length <= 8, `${writes.length} writes of ${writes.join(', ')} bytes`);
});

/** Serves a bidirectional stream that echoes its messages, and counts those that it has read. */
function serveEcho(read: { count: number }): Promise<Running> {
  return serve({
    echo: {
      async *bidi(requests) {
        for await (const { text } of requests) {
          read.count++;
          yield { text };
        }
      },
    },
  });
}

/** Resolves when a count has not changed for 20 round trips. */
async function settled(client: RawClient, count: () => number): Promise<void> {
  for (let still = 0, last = count(); still < 20; still++) {
    await client.roundTrip();
    if (count() !== last || last === 0) still = 0;
    last = count();
  }
}
