import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createChannel, createClient } from 'nice-grpc';
import {
  type CallContext,
  Metadata,
  ServerError,
  type ServerMiddlewareCall,
  Status,
} from 'nice-grpc-common';
import { GreeterDefinition } from '../../src/gen/greet.ts';
import { unusedGreet } from '../kinds.ts';
import { HelloDefinition } from '../../src/gen/hello.ts';
import { createEngine, type Engine } from '../../src/transport/engine.ts';
import { dialChannel, serverTls } from '../tls.ts';

const limits = { maxConcurrentStreams: 100, maxMessageSize: 10_000_000 };
const names = ['direct', 'grpc-js'] as const;

/** Serves what is added to an engine, and dials it. */
async function dial(engine: Pick<Engine, 'listen' | 'shutdown'>) {
  const port = await engine.listen({ host: '127.0.0.1', port: 0 }, serverTls);
  const channel = dialChannel(`127.0.0.1:${port}`);
  return {
    hello: createClient(HelloDefinition, channel),
    greet: createClient(GreeterDefinition, channel),
    async [Symbol.asyncDispose]() {
      channel.close();
      await engine.shutdown();
    },
  };
}

/** Middleware that says when a call passes it, on the way in and out. */
function noting(note: string, notes: string[]) {
  return async function* noting<Req, Res>(
    call: ServerMiddlewareCall<Req, Res>,
    context: CallContext,
  ) {
    notes.push(`${note} ${call.method.path} ${call.requestStream} ${call.responseStream}`);
    try {
      return yield* call.next(call.request, { ...context });
    } finally {
      notes.push(`${note} out`);
    }
  };
}

for (const name of names) {
  const create = (): Promise<Engine> => createEngine(name, limits);

  test(`${name}: middleware run from the first used to the last, with() only for its service`, async () => {
    const notes: string[] = [];
    const engine = (await create()).use(noting('a', notes)).use(noting('b', notes));
    engine
      .with(noting('c', notes))
      .with(noting('d', notes))
      .add(HelloDefinition, { hello: async () => ({ value: 'x' }) });
    engine.add(GreeterDefinition, { ...unusedGreet, sayHello: async () => ({}) });
    await using client = await dial(engine);

    await client.hello.hello({});
    const path = '/Hello/Hello false false';
    const outs = ['d out', 'c out', 'b out', 'a out'];
    assert.deepEqual(notes.splice(0), [
      ...['a', 'b', 'c', 'd'].map((n) => `${n} ${path}`),
      ...outs,
    ]);
    await client.greet.sayHello({});
    assert.deepEqual(notes.slice(2), ['b out', 'a out']);
  });

  test(`${name}: header and trailer reach the caller, with a reply and with an error`, async () => {
    const engine = await create();
    engine.add(HelloDefinition, {
      async hello({ value }, { header, trailer, metadata }) {
        header.set('x-header', metadata.get('x-in') ?? 'none');
        trailer.set('x-bin', new Uint8Array([0, 255]));
        if (value === 'fail') throw new ServerError(Status.NOT_FOUND, 'no \u00e9 %');
        return { value };
      },
    });
    await using client = await dial(engine);
    const seen: unknown[] = [];
    const options = {
      metadata: Metadata({ 'x-in': 'in' }),
      onHeader: (header: Metadata) => void seen.push(header.get('x-header')),
      onTrailer: (trailer: Metadata) => void seen.push([...(trailer.get('x-bin') ?? [])]),
    };

    await client.hello.hello({ value: 'x' }, options);
    await assert.rejects(client.hello.hello({ value: 'fail' }, options), {
      code: Status.NOT_FOUND,
      details: 'no \u00e9 %',
    });

    assert.deepEqual(seen, ['in', [0, 255], 'in', [0, 255]]);
  });

  test(`${name}: sendHeader() sends the header before the first reply`, async () => {
    const engine = await create();
    const { promise, resolve } = Promise.withResolvers<void>();
    engine.add(HelloDefinition, {
      async hello(_request, context) {
        context.header.set('x-early', 'yes');
        context.sendHeader();
        await promise;
        return {};
      },
    });
    await using client = await dial(engine);

    await client.hello.hello(
      {},
      {
        onHeader(header) {
          if (header.get('x-early') === 'yes') resolve();
        },
      },
    );
  });

  test(`${name}: middleware that yields, or returns nothing, where one reply is meant ends UNKNOWN`, async (t) => {
    t.mock.method(process, 'emitWarning', () => {});
    const engine = (await create()).use(async function* wrong<Req, Res>(
      call: ServerMiddlewareCall<Req, Res>,
      context: CallContext,
    ) {
      const response = yield* call.next(call.request, context);
      if (context.metadata.has('x-yield') && response !== undefined) yield response;
    });
    engine.add(HelloDefinition, { hello: async () => ({}) });
    await using client = await dial(engine);
    const yielding = { metadata: Metadata({ 'x-yield': '1' }) };

    await assert.rejects(client.hello.hello({}), { code: Status.UNKNOWN });
    await assert.rejects(client.hello.hello({}, yielding), { code: Status.UNKNOWN });
  });

  test(`${name}: an error that is no ServerError is not told to the caller`, async (t) => {
    const warned = t.mock.method(process, 'emitWarning', () => {});
    const engine = await create();
    engine.add(HelloDefinition, { hello: () => Promise.reject(new Error('secret')) });
    await using client = await dial(engine);

    await assert.rejects(client.hello.hello({}), {
      code: Status.UNKNOWN,
      details: 'Unknown server error occurred',
    });
    assert.match(String(warned.mock.calls.at(-1)?.arguments[0]), /secret/);
  });

  test(`${name}: large messages go both ways whole, and replies in their order`, async () => {
    const engine = await create();
    engine.add(HelloDefinition, { hello: async ({ value }) => ({ value: `${value}!` }) });
    engine.add(GreeterDefinition, {
      ...unusedGreet,
      async *parrotSayHello({ name: text }) {
        for (let i = 0; i < 100; i++) yield { message: `${i} ${text}` };
      },
    });
    await using client = await dial(engine);
    const value = 'abc'.repeat(1_000_000);
    const text = 'x'.repeat(10_000);

    assert.equal((await client.hello.hello({ value })).value, `${value}!`);
    const replies = await Array.fromAsync(client.greet.parrotSayHello({ name: text }));
    const messages = replies.map(({ message }) => message);
    assert.deepEqual(
      messages,
      Array.from({ length: 100 }, (_, i) => `${i} ${text}`),
    );
  });

  test(`${name}: a peer is ADDRESS:PORT, an IPv4 one on a socket of IPv6 too, and V6 is in brackets`, async () => {
    const engine = await create();
    engine.add(HelloDefinition, { hello: async (_request, { peer }) => ({ value: peer }) });
    const port = await engine.listen({ host: '::', port: 0 });
    for (const [host, peer] of [
      ['127.0.0.1', /^127\.0\.0\.1:\d+$/],
      ['[::1]', /^\[::1\]:\d+$/],
    ] as const) {
      const channel = createChannel(`${host}:${port}`);
      const { value } = await createClient(HelloDefinition, channel).hello({});
      assert.match(value, peer);
      channel.close();
    }
    await engine.shutdown();
  });

  test(`${name}: serves on as many addresses as it is told to`, async () => {
    const engine = await create();
    engine.add(HelloDefinition, { hello: async ({ value }) => ({ value }) });
    for (let i = 0; i < 3; i++) {
      const channel = createChannel(
        `127.0.0.1:${await engine.listen({ host: '127.0.0.1', port: 0 })}`,
      );
      const { value } = await createClient(HelloDefinition, channel).hello({ value: String(i) });
      assert.equal(value, String(i));
      channel.close();
    }
    await engine.shutdown();
  });
}
