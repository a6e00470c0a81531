import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import {
  EchoDefinition,
  type EchoServiceImplementation,
  EchoReply,
  EchoRequest,
} from '../echo/gen/echo.ts';
import type { Call } from '../../src/context.ts';
import { serve, until } from '../support/harness.ts';
import { rpcMethods, paths } from '../support/kinds.ts';
import { connectRaw, frame } from '../support/raw_client.ts';
import { dialChannel, serverTls } from '../support/tls.ts';
import { createEngine } from '../support/engine.ts';

const names = ['direct', 'grpc-js'] as const;

/** A server stream with a hand-written iterator. */
function stream(iterator: object): Partial<EchoServiceImplementation<Call>> {
  const iterable = { [Symbol.asyncIterator]: () => iterator };
  return { serverStream: () => Object.assign(iterable) };
}

const reply = { done: false, value: EchoReply.create({ text: 'x' }) };
function fails(): never {
  throw new Error('x');
}

/** Who waits for it learns that it cannot be waited for. */
// oxlint-disable-next-line unicorn/no-thenable -- a service may give one
const thenable = Object.fromEntries([['then', fails]]);

async function rejects(): Promise<never> {
  throw new Error('x');
}

/** What a service may return instead of a generator, and the resulting code. */
const streams: Record<string, [Partial<EchoServiceImplementation<Call>>, Status]> = {
  'whose iterator cannot be had': [
    { serverStream: () => ({ [Symbol.asyncIterator]: fails }) },
    Status.INTERNAL,
  ],
  'whose next() throws': [stream({ next: fails }), Status.INTERNAL],
  'whose next() gives nothing': [stream({ next: () => undefined }), Status.INTERNAL],
  'whose next() gives a thenable that throws': [stream({ next: () => thenable }), Status.INTERNAL],
  'whose next() gives no promise': [
    stream({ next: () => ({ done: true, value: undefined }) }),
    Status.OK,
  ],
};

for (const name of names) {
  for (const [what, [echo, code]] of Object.entries(streams)) {
    test(`${name}: a response stream ${what} ends its call with ${code}`, async () => {
      await using running = await serve({ engine: name, echo });

      const replies = Array.fromAsync(running.client.serverStream({}));

      if (code === Status.OK) assert.deepEqual(await replies, []);
      else await assert.rejects(replies, { code });
    });
  }

  const leavings: Record<string, object> = {
    'has no return()': {},
    'has a return() that throws': { return: fails },
    'has a return() that gives no promise': { return: () => undefined },
    'has a return() that rejects': { return: rejects },
  };
  for (const [what, more] of Object.entries(leavings)) {
    test(`${name}: a response stream that ${what} can be cancelled`, async () => {
      let asked = 0;
      const next = () => (asked++ === 0 ? Promise.resolve(reply) : new Promise(() => {}));
      await using running = await serve({ engine: name, echo: stream({ next, ...more }) });
      const cancel = new AbortController();

      const ended = Array.fromAsync(running.client.serverStream({}, { signal: cancel.signal }));
      await until(() => asked > 1 || name === 'grpc-js');
      cancel.abort();

      await assert.rejects(ended);
      if (name === 'direct')
        await running.log.line({
          'rpc.method': rpcMethods.serverStream,
          'rpc.status_code': 'CANCELLED',
        });
    });
  }

  test(`${name}: a unary service that returns a thenable that throws ends its call with INTERNAL`, async () => {
    await using running = await serve({
      engine: name,
      echo: { unary: () => Object.create(thenable) },
    });

    await assert.rejects(running.client.unary({}), { code: Status.INTERNAL });
  });

  test(`${name}: a service may request a message and never await it`, async () => {
    const asked = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    await using running = await serve({
      engine: name,
      echo: {
        async clientStream(requests) {
          const iterator = requests[Symbol.asyncIterator]();
          void iterator.next();
          void iterator.next();
          asked.resolve();
          await release.promise;
          void iterator.next();
          throw new Error('x');
        },
      },
    });
    const client = await connectRaw(running.address);
    for (const spoil of [
      (call: ReturnType<typeof client.open>) => void call.end(frame(Buffer.from([0xff, 0xff]))),
      (call: ReturnType<typeof client.open>) => call.close(8),
    ]) {
      const call = client.open(paths.clientStream).resume();
      call.on('error', () => {});
      call.write(frame(EchoRequest.encode({ text: 'A' }).finish()));
      await asked.promise;
      spoil(call);
      await client.roundTrip();
      release.resolve();
      if (!call.closed) await once(call, 'close');
    }
    await until(() => running.counts().calls === 0);
    client.close();
    // An unhandled rejection would have failed this test by now.
  });

  test(`${name}: a reset call is not a server fault if the decoder rejects an empty message`, async () => {
    const { unary } = EchoDefinition.methods;
    const requestType = {
      ...EchoRequest,
      decode(bytes: Uint8Array) {
        if (bytes.length === 0) throw new Error('empty');
        return EchoRequest.decode(bytes);
      },
    };
    const definition = {
      ...EchoDefinition,
      methods: { unary: { ...unary, requestType } },
    };
    const engine = await createEngine(name, { maxConcurrentStreams: 10, maxMessageSize: 1000 });
    engine.add(definition, { unary: async ({ text }) => ({ text }) });
    const port = await engine.listen({ host: '127.0.0.1', port: 0 }, serverTls);
    const client = await connectRaw(`127.0.0.1:${port}`);

    const call = client.open(paths.unary).resume();
    call.on('error', () => {});
    call.write(Buffer.from([0]));
    await client.roundTrip();
    call.close(8);
    await client.roundTrip();
    client.close();

    const channel = dialChannel(`127.0.0.1:${port}`);
    const { text } = await createClient(definition, channel).unary({ text: 'x' });
    assert.equal(text, 'x');
    channel.close();
    await engine.shutdown();
  });
}
