import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { feed, serve } from '../../../test/support/harness.ts';
import { GreeterDefinition, type HelloRequest } from '../../gen/greet.ts';

/** A server, and a client of the greet guide's service. */
async function serveGreet(parrotInterval = 0) {
  const running = await serve({ deps: { parrotInterval } });
  return { ...running, client: createClient(GreeterDefinition, running.channel) };
}

const bello = { greeting: 'Bello', name: 'Keys' };

test('sayHello() greets, with an exclamation mark', async () => {
  await using running = await serveGreet();

  assert.deepEqual(await running.client.sayHello(bello), { message: 'Bello Keys!' });
});

test('sayHello() accepts empty strings', async () => {
  await using running = await serveGreet();

  assert.deepEqual(await running.client.sayHello({}), { message: ' !' });
});

test('the server streams send three numbered replies, each family in its own format', async () => {
  await using running = await serveGreet();

  const a = await Array.fromAsync(running.client.parrotSayHello(bello));
  const b = await Array.fromAsync(running.client.parrotSaysHello(bello));

  assert.deepEqual(
    a.map(({ message }) => message),
    ['Bello Keys 1!', 'Bello Keys 2!', 'Bello Keys 3!'],
  );
  assert.deepEqual(
    b.map(({ message }) => message),
    ['Bello Keys 1', 'Bello Keys 2', 'Bello Keys 3'],
  );
});

test('the server streams pause after every reply, including the last, until they are cancelled', async () => {
  const anHour = 3_600_000;
  await using running = await serveGreet(anHour);
  const cancel = new AbortController();
  const replies = running.client.parrotSayHello(bello, { signal: cancel.signal });
  const iterator = replies[Symbol.asyncIterator]();

  const first = await iterator.next();
  cancel.abort();

  assert.deepEqual(first.value, { message: 'Bello Keys 1!' });
  await assert.rejects(iterator.next(), { name: 'AbortError' });
  await running.log.line({
    'rpc.method': 'greet.Greeter/ParrotSayHello',
    'rpc.status_code': 'CANCELLED',
  });
});

test('the client streams echo every request in order, each family with its own text', async () => {
  await using running = await serveGreet();
  const requests = ['A', 'B', 'C'].map((name) => ({ greeting: 'Bello', name }));

  const a = await running.client.chattyClientSayHello(stream(requests));
  const b = await running.client.chattyClientSaysHello(stream(requests));

  assert.deepEqual(a.request, requests);
  assert.equal(a.message, 'You have sent 3 messages! Please expect a delayed response...');
  assert.deepEqual(b.request, requests);
  assert.equal(b.message, 'You have sent 3 messages. Please expect a delayed response.');
});

test('a client stream without requests is answered', async () => {
  await using running = await serveGreet();

  const { message, request } = await running.client.chattyClientSayHello(stream([]));

  assert.equal(message, 'You have sent 0 messages! Please expect a delayed response...');
  assert.deepEqual(request, []);
});

test('a client stream accepts 10,000 messages and not one more', async () => {
  await using running = await serveGreet();
  const full = Array.from({ length: 10_000 }, () => ({ greeting: '', name: 'x' }));

  const { request } = await running.client.chattyClientSayHello(stream(full));
  const oneMore = running.client.chattyClientSayHello(stream([...full, bello]));

  assert.equal(request.length, 10_000);
  await assert.rejects(oneMore, {
    code: Status.RESOURCE_EXHAUSTED,
    details: 'Cannot echo this stream: at most 10000 messages and 1 MiB',
  });
});

test('a client stream accepts 1 MiB of messages and not one byte more', async () => {
  await using running = await serveGreet();
  // A message of n letters is n + 4 bytes on the wire, when n takes three bytes to write.
  const name = 'x'.repeat(512 * 1024 - 4);

  const { request } = await running.client.chattyClientSayHello(stream([{ name }, { name }]));
  const oneMore = running.client.chattyClientSayHello(stream([{ name }, { name: `${name}x` }]));

  assert.equal(request.length, 2);
  await assert.rejects(oneMore, { code: Status.RESOURCE_EXHAUSTED });
});

test('a bidirectional stream answers each request before the next is sent', async () => {
  await using running = await serveGreet();
  for (const [call, mark] of [
    [running.client.interactiveSayHello, '!'],
    [running.client.interactingHello, ''],
  ] as const) {
    const requests = feed<Partial<HelloRequest>>();
    const replies = call(requests)[Symbol.asyncIterator]();

    for (const name of ['A', 'B', 'C']) {
      requests.push({ greeting: 'Bello', name });
      assert.deepEqual((await replies.next()).value, { message: `Bello ${name}${mark}` });
    }

    requests.end();
    assert.equal((await replies.next()).done, true);
  }
});

async function* stream<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values;
}
