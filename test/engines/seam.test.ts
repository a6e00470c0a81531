import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createChannel, createClient } from 'nice-grpc';
import {
  type CallContext,
  Metadata,
  type MethodDescriptor,
  ServerError,
  type ServerMiddlewareCall,
  Status,
} from 'nice-grpc-common';
import { EchoDefinition, EchoReply, EchoRequest, PingDefinition } from '../echo/gen/echo.ts';
import { dial as dialPath } from '../../src/transport/client.ts';
import type { Engine } from '../../src/transport/engine_types.ts';
import { call, kinds, paths, unusedEcho } from '../support/kinds.ts';
import { dialChannel, serverTls } from '../support/tls.ts';
import { createEngine } from '../support/engine.ts';

const limits = { maxConcurrentStreams: 100, maxMessageSize: 10_000_000 };
const names = ['direct', 'grpc-js'] as const;

/** Serves what is added to an engine, and opens a channel to it. */
async function dial(engine: Pick<Engine, 'listen' | 'shutdown'>) {
  const port = await engine.listen({ host: '127.0.0.1', port: 0 }, serverTls);
  const channel = dialChannel(`127.0.0.1:${port}`);
  return {
    ping: createClient(PingDefinition, channel),
    echo: createClient(EchoDefinition, channel),
    async [Symbol.asyncDispose]() {
      channel.close();
      await engine.shutdown();
    },
  };
}

/** Middleware that records when a call enters and leaves it. */
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

  test(`${name}: middleware run in the order of use(), with() only for its service`, async () => {
    const notes: string[] = [];
    const engine = (await create()).use(noting('a', notes)).use(noting('b', notes));
    engine
      .with(noting('c', notes))
      .with(noting('d', notes))
      .add(PingDefinition, { ping: async () => ({ text: 'x' }) });
    engine.add(EchoDefinition, { ...unusedEcho, unary: async () => ({}) });
    await using client = await dial(engine);

    await client.ping.ping({});
    const path = '/echo.Ping/Ping false false';
    const outs = ['d out', 'c out', 'b out', 'a out'];
    assert.deepEqual(notes.splice(0), [
      ...['a', 'b', 'c', 'd'].map((n) => `${n} ${path}`),
      ...outs,
    ]);
    await client.echo.unary({});
    assert.deepEqual(notes.slice(2), ['b out', 'a out']);
  });

  test(`${name}: header and trailer reach the caller, with a response and with an error`, async () => {
    const engine = await create();
    engine.add(PingDefinition, {
      async ping({ text }, { header, trailer, metadata }) {
        header.set('x-header', metadata.get('x-in') ?? 'none');
        trailer.set('x-bin', new Uint8Array([0, 255]));
        if (text === 'fail') throw new ServerError(Status.NOT_FOUND, 'no \u00e9 %');
        return { text };
      },
    });
    await using client = await dial(engine);
    const seen: unknown[] = [];
    const options = {
      metadata: Metadata({ 'x-in': 'in' }),
      onHeader: (header: Metadata) => void seen.push(header.get('x-header')),
      onTrailer: (trailer: Metadata) => void seen.push([...(trailer.get('x-bin') ?? [])]),
    };

    await client.ping.ping({ text: 'x' }, options);
    await assert.rejects(client.ping.ping({ text: 'fail' }, options), {
      code: Status.NOT_FOUND,
      details: 'no \u00e9 %',
    });

    assert.deepEqual(seen, ['in', [0, 255], 'in', [0, 255]]);
  });

  test(`${name}: sendHeader() sends the header before the first response`, async () => {
    const engine = await create();
    const { promise, resolve } = Promise.withResolvers<void>();
    engine.add(PingDefinition, {
      async ping(_request, context) {
        context.header.set('x-early', 'yes');
        context.sendHeader();
        await promise;
        return {};
      },
    });
    await using client = await dial(engine);

    await client.ping.ping(
      {},
      {
        onHeader(header) {
          if (header.get('x-early') === 'yes') resolve();
        },
      },
    );
  });

  test(`${name}: middleware that yield, or return nothing, for a unary call end it with UNKNOWN`, async (t) => {
    t.mock.method(process, 'emitWarning', () => {});
    const engine = (await create()).use(async function* wrong<Req, Res>(
      call: ServerMiddlewareCall<Req, Res>,
      context: CallContext,
    ) {
      const response = yield* call.next(call.request, context);
      if (context.metadata.has('x-yield') && response !== undefined) yield response;
    });
    engine.add(PingDefinition, { ping: async () => ({}) });
    await using client = await dial(engine);
    const yielding = { metadata: Metadata({ 'x-yield': '1' }) };

    await assert.rejects(client.ping.ping({}), { code: Status.UNKNOWN });
    await assert.rejects(client.ping.ping({}, yielding), { code: Status.UNKNOWN });
  });

  test(`${name}: an error that is not a ServerError is not sent to the caller`, async (t) => {
    const warned = t.mock.method(process, 'emitWarning', () => {});
    const engine = await create();
    engine.add(PingDefinition, { ping: () => Promise.reject(new Error('secret')) });
    await using client = await dial(engine);

    await assert.rejects(client.ping.ping({}), {
      code: Status.UNKNOWN,
      details: 'Unknown server error occurred',
    });
    assert.match(String(warned.mock.calls.at(-1)?.arguments[0]), /secret/);
  });

  test(`${name}: large messages arrive unchanged in both directions, and responses in order`, async () => {
    const engine = await create();
    engine.add(PingDefinition, { ping: async ({ text }) => ({ text: `${text}!` }) });
    engine.add(EchoDefinition, {
      ...unusedEcho,
      async *serverStream({ text }) {
        for (let i = 0; i < 100; i++) yield { text: `${i} ${text}` };
      },
    });
    await using client = await dial(engine);
    const large = 'abc'.repeat(1_000_000);
    const text = 'x'.repeat(10_000);

    assert.equal((await client.ping.ping({ text: large })).text, `${large}!`);
    const replies = await Array.fromAsync(client.echo.serverStream({ text }));
    const messages = replies.map((reply) => reply.text);
    assert.deepEqual(
      messages,
      Array.from({ length: 100 }, (_, i) => `${i} ${text}`),
    );
  });

  test(`${name}: context.peer is ADDRESS:PORT, without IPv4 mapping, and with IPv6 in brackets`, async () => {
    const engine = await create();
    engine.add(PingDefinition, { ping: async (_request, { peer }) => ({ text: peer }) });
    const port = await engine.listen({ host: '::', port: 0 });
    for (const [host, peer] of [
      ['127.0.0.1', /^127\.0\.0\.1:\d+$/],
      ['[::1]', /^\[::1\]:\d+$/],
    ] as const) {
      const channel = createChannel(`${host}:${port}`);
      const { text } = await createClient(PingDefinition, channel).ping({});
      assert.match(text, peer);
      channel.close();
    }
    await engine.shutdown();
  });

  test(`${name}: listen() serves on several addresses`, async () => {
    const engine = await create();
    engine.add(PingDefinition, { ping: async ({ text }) => ({ text }) });
    for (let i = 0; i < 3; i++) {
      const channel = createChannel(
        `127.0.0.1:${await engine.listen({ host: '127.0.0.1', port: 0 })}`,
      );
      const { text } = await createClient(PingDefinition, channel).ping({ text: String(i) });
      assert.equal(text, String(i));
      channel.close();
    }
    await engine.shutdown();
  });

  test(`${name}: call.method is nice-grpc's descriptor, one object for each method, with no other fields`, async () => {
    const seen: MethodDescriptor[] = [];
    const engine = (await create())
      .use(async function* look<Req, Res>(
        call: ServerMiddlewareCall<Req, Res>,
        context: CallContext,
      ) {
        seen.push(call.method);
        return yield* call.next(call.request, context);
      })
      .use(noting('', []));
    const unary = {
      ...EchoDefinition.methods.unary,
      options: { idempotencyLevel: 'IDEMPOTENT' } as const,
    };
    const definition = {
      ...EchoDefinition,
      methods: { ...EchoDefinition.methods, unary },
    };
    engine.add(definition, {
      ...unusedEcho,
      unary: async () => ({}),
      clientStream: async () => ({}),
      async *serverStream() {},
      async *bidi() {},
    });
    await using client = await dial(engine);

    for (const kind of kinds) {
      await call(client.echo, kind);
      await call(client.echo, kind);
      const [first, second] = seen.splice(0);

      assert.deepEqual(first, {
        path: paths[kind],
        requestStream: kind === 'clientStream' || kind === 'bidi',
        responseStream: kind === 'serverStream' || kind === 'bidi',
        options: kind === 'unary' ? { idempotencyLevel: 'IDEMPOTENT' } : {},
      });
      assert.deepEqual(Reflect.ownKeys(first ?? {}).length, 4);
      assert.equal(Object.getPrototypeOf(first), Object.prototype);
      assert.equal(Object.isFrozen(first), false);
      assert.equal(first, second);
    }
  });

  test(`${name}: middleware that modify call.method change no call`, async () => {
    const engine = (await create())
      .use(async function* spoil<Req, Res>(
        call: ServerMiddlewareCall<Req, Res>,
        context: CallContext,
      ) {
        Object.assign(call.method, { path: '/x', requestStream: true, responseStream: true });
        return yield* call.next(call.request, context);
      })
      .use(async function* check<Req, Res>(
        call: ServerMiddlewareCall<Req, Res>,
        context: CallContext,
      ) {
        assert.deepEqual([call.requestStream, call.responseStream], [false, false]);
        return yield* call.next(call.request, context);
      });
    engine.add(PingDefinition, { ping: async ({ text }) => ({ text }) });
    await using client = await dial(engine);

    for (const text of ['a', 'b']) {
      assert.deepEqual(await client.ping.ping({ text }), { text });
    }
  });

  test(`${name}: add() accepts definitions generated for grpc-js, with message classes`, async () => {
    const server = (await create()).use(noting('', []));
    server.add(classDefinition, {
      unary: async (request) => new ReplyClass(`Bello ${request.getName()}`),
      async *serverStream(request) {
        yield new ReplyClass(request.getName());
      },
    });
    await using client = await dial(server);

    assert.deepEqual(await client.echo.unary({ text: 'Keys' }), { text: 'Bello Keys' });
    const replies = await Array.fromAsync(client.echo.serverStream({ text: 'Keys' }));
    assert.deepEqual(replies, [{ text: 'Keys' }]);
  });

  test(`${name}: middleware that pass on a request of the wrong kind end the call with UNKNOWN`, async (t) => {
    t.mock.method(process, 'emitWarning', () => {});
    const engine = (await create()).use(async function* swap<Req, Res>(
      call: ServerMiddlewareCall<Req, Res>,
      context: CallContext,
    ) {
      const other = call.requestStream ? await firstOf(call.request) : onlyOne(call.request);
      return yield* call.next(context.metadata.has('x-swap') ? other : call.request, context);
    });
    let handled = 0;
    engine.add(EchoDefinition, {
      ...unusedEcho,
      unary: async () => ({ text: String(++handled) }),
      async *serverStream() {
        yield { text: String(++handled) };
      },
      clientStream: async () => ({ requests: [{ text: String(++handled) }] }),
      async *bidi() {
        yield { text: String(++handled) };
      },
    });
    await using client = await dial(engine);

    for (const kind of kinds) {
      const metadata = Metadata({ 'x-swap': '1' });
      await assert.rejects(call(client.echo, kind, { metadata }), { code: Status.UNKNOWN });
      assert.equal(handled, 0);
    }
    await call(client.echo, 'unary');
    assert.equal(handled, 1);
  });

  const noResponses: Record<string, () => unknown> = {
    nothing: () => {},
    'a promise of nothing': async () => {},
    'a promise of null': async () => null,
  };
  for (const [what, give] of Object.entries(noResponses)) {
    test(`${name}: a service that returns ${what} ends its call with UNKNOWN`, async (t) => {
      t.mock.method(process, 'emitWarning', () => {});
      const engine = await create();
      const wrong = { ...unusedEcho, unary: give, serverStream: give };
      engine.add(EchoDefinition, Object.assign(wrong));
      await using client = await dial(engine);

      await assert.rejects(client.echo.unary({}), { code: Status.UNKNOWN });
      await assert.rejects(call(client.echo, 'serverStream'), { code: Status.UNKNOWN });
    });
  }

  test(`${name}: an array as a response stream ${name === 'direct' ? 'ends its call with UNKNOWN' : 'is sent'}`, async (t) => {
    t.mock.method(process, 'emitWarning', () => {});
    const engine = await create();
    const serverStream = () => Object.assign([{ text: 'a' }, { text: 'b' }]);
    engine.add(EchoDefinition, { ...unusedEcho, serverStream });
    await using client = await dial(engine);

    const replies = call(client.echo, 'serverStream');

    if (name === 'direct') await assert.rejects(replies, { code: Status.UNKNOWN });
    else assert.deepEqual(await replies, [{ text: 'a' }, { text: 'b' }]);
  });

  test(`${name}: an unknown method ends with UNIMPLEMENTED, with the message of the engine`, async () => {
    const engine = await create();
    engine.add(EchoDefinition, unusedEcho);
    await using client = await dial(engine);
    const words = {
      direct: 'Cannot find service echo.Ping',
      'grpc-js': 'The server does not implement the method /echo.Ping/Ping',
    };

    await assert.rejects(client.ping.ping({}), {
      code: Status.UNIMPLEMENTED,
      details: words[name],
    });
  });

  test(`${name}: context.peer is "${name === 'direct' ? 'unix' : 'unknown'}" on a unix socket`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'seam-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const engine = await create();
    engine.add(PingDefinition, { ping: async (_request, { peer }) => ({ text: peer }) });
    await engine.listen({ path: join(folder, 'socket') });
    t.after(() => engine.forceShutdown());
    const channel = dialPath({ address: `unix:${join(folder, 'socket')}` });
    t.after(() => channel.close());

    const { text } = await createClient(PingDefinition, channel).ping({});

    assert.equal(text, name === 'direct' ? 'unix' : 'unknown');
  });
}

async function firstOf<T>(requests: AsyncIterable<T>): Promise<T> {
  for await (const request of requests) return request;
  return assert.fail('there is none');
}

async function* onlyOne<T>(request: T): AsyncGenerator<T> {
  yield request;
}

/** Message classes as in google-protobuf. */
class RequestClass {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  getName(): string {
    return this.#name;
  }
}

class ReplyClass {
  readonly #message: string;

  constructor(message: string) {
    this.#message = message;
  }

  serializeBinary(): Uint8Array {
    return EchoReply.encode({ text: this.#message }).finish();
  }
}

function classMethod<Stream extends boolean>(path: string, responseStream: Stream) {
  return {
    path,
    requestStream: false as const,
    responseStream,
    requestSerialize: (_request: RequestClass) => assert.fail('no client uses it'),
    requestDeserialize(bytes: Buffer) {
      assert.ok(Buffer.isBuffer(bytes));
      return new RequestClass(EchoRequest.decode(bytes).text);
    },
    responseSerialize(reply: ReplyClass) {
      assert.ok(reply instanceof ReplyClass);
      return Buffer.from(reply.serializeBinary());
    },
    responseDeserialize: (_bytes: Buffer): ReplyClass => assert.fail('no client uses it'),
  };
}

/** A definition as generated by grpc_tools_node_protoc. */
const classDefinition = {
  unary: classMethod(paths.unary, false as const),
  serverStream: classMethod(paths.serverStream, true as const),
};
