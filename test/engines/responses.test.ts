import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { type CallContext, type ServerMiddlewareCall, Status } from 'nice-grpc-common';
import type { Sending } from '../../src/context.ts';
import { EchoDefinition, EchoReply, EchoRequest } from '../echo/gen/echo.ts';
import { PingDefinition } from '../echo/gen/echo.ts';
import { codeOf } from '../../src/middleware/outcome.ts';
import type { Engine, EngineName } from '../../src/transport/engine_types.ts';
import { answerTo } from '../support/grpc_answer.ts';
import { paths, unusedEcho } from '../support/kinds.ts';
import { connectRaw, frame } from '../support/raw_client.ts';
import { dialChannel, serverTls } from '../support/tls.ts';
import { createEngine } from '../support/engine.ts';

const names = ['direct', 'grpc-js'] as const;

/** Middleware that changes nothing. */
function passingOn() {
  return async function* passOn<Req, Res>(
    call: ServerMiddlewareCall<Req, Res>,
    context: CallContext,
  ) {
    return yield* call.next(call.request, context);
  };
}

/** Serves what is added to an engine. */
async function serve(engine: Pick<Engine, 'listen' | 'shutdown'>) {
  const port = await engine.listen({ host: '127.0.0.1', port: 0 }, serverTls);
  const address = `127.0.0.1:${port}`;
  const channel = dialChannel(address);
  return {
    address,
    echo: createClient(EchoDefinition, channel),
    ping: createClient(PingDefinition, channel),
    async [Symbol.asyncDispose]() {
      channel.close();
      await engine.shutdown();
    },
  };
}

/** An echo service that counts how often its responses are encoded. */
function countingGreet() {
  const encoded: string[] = [];
  const responseType = {
    ...EchoReply,
    encode(reply: EchoReply) {
      encoded.push(reply.text);
      return EchoReply.encode(reply);
    },
  };
  const { unary, serverStream } = EchoDefinition.methods;
  const methods = {
    ...EchoDefinition.methods,
    unary: { ...unary, responseType },
    serverStream: { ...serverStream, responseType },
  };
  const implementation = {
    ...unusedEcho,
    unary: async ({ text }: EchoRequest) => ({ text }),
    async *serverStream({ text }: EchoRequest) {
      for (let i = 1; i <= 3; i++) yield { text: `${text} ${i}` };
    },
  };
  return { encoded, definition: { ...EchoDefinition, methods }, implementation };
}

/** How often the responses of a call were encoded, and which of them were compressed. */
async function encodings(
  kind: 'unary' | 'serverStream',
  { name, chain, gzip }: { name: EngineName; chain: boolean; gzip: boolean },
) {
  const limits = { maxConcurrentStreams: 100, maxMessageSize: 10_000, compressResponsesAbove: 0 };
  const created = await createEngine(name, limits);
  const engine = chain ? created.use(passingOn()).use(passingOn()) : created;
  const { encoded, definition, implementation } = countingGreet();
  engine.add(definition, implementation);
  await using server = await serve(engine);
  const client = await connectRaw(server.address);
  const { messages } = await answerTo(client, {
    path: paths[kind],
    body: frame(EchoRequest.encode({ text: 'Keys' }).finish()),
    fields: gzip ? { 'grpc-accept-encoding': 'gzip' } : {},
  });
  client.close();
  return { encoded, compressed: messages.map(({ compressed }) => compressed) };
}

for (const name of names) {
  for (const chain of [false, true]) {
    for (const gzip of name === 'direct' ? [false, true] : [false]) {
      const where = `${gzip ? 'compressed ' : ''}${chain ? 'behind middleware' : 'without middleware'}`;

      test(`${name}: each response is encoded once, ${where}`, async () => {
        const one = await encodings('unary', { name, chain, gzip });
        const three = await encodings('serverStream', { name, chain, gzip });

        assert.deepEqual(one, { encoded: ['Keys'], compressed: [gzip] });
        assert.deepEqual(three, {
          encoded: ['Keys 1', 'Keys 2', 'Keys 3'],
          compressed: [gzip, gzip, gzip],
        });
      });
    }
  }

  /** Changes that middleware make to a response. */
  const changes: Record<string, (response: object) => object> = {
    'puts another response in place of one': () => ({ text: 'changed' }),
    'changes a response': (response) => Object.assign(response, { text: 'changed' }),
  };
  for (const [does, change] of Object.entries(changes)) {
    test(`${name}: middleware that ${does} changes the response, which is encoded once`, async () => {
      const limits = { maxConcurrentStreams: 100, maxMessageSize: 10_000 };
      const engine = (await createEngine(name, limits)).use(async function* changing<Req, Res>(
        call: ServerMiddlewareCall<Req, Res>,
        context: CallContext,
      ) {
        const changed = <T>(response: T): T => Object.assign(change(Object(response)));
        if (!call.responseStream) {
          const response = yield* call.next(call.request, context);
          return changed(response);
        }
        for await (const response of call.next(call.request, context)) yield changed(response);
        return undefined;
      });
      const { encoded, definition, implementation } = countingGreet();
      engine.add(definition, implementation);
      await using client = await serve(engine);

      const one = await client.echo.unary({ text: 'Keys' });
      const three = await Array.fromAsync(client.echo.serverStream({ text: 'Keys' }));

      const changed = { text: 'changed' };
      assert.deepEqual([one, ...three], [changed, changed, changed, changed]);
      assert.deepEqual(encoded, Array.from({ length: 4 }).fill('changed'));
    });
  }
}

/** What the outermost middleware does at the end, and whether it still returns the response. */
const lastActs: Record<string, [(response: object, context: CallContext) => boolean, Status]> = {
  'makes a response one that cannot be encoded': [
    (response) => {
      const get = () => assert.fail('no text');
      return Reflect.defineProperty(response, 'text', { get });
    },
    Status.INTERNAL,
  ],
  'returns no response': [() => false, Status.UNKNOWN],
  'sets a header that is too large': [
    (_response, { header }) => Boolean(header.set('x-large', 'x'.repeat(10_000))),
    Status.INTERNAL,
  ],
};
for (const [does, [act, code]] of Object.entries(lastActs)) {
  test(`direct: whenSent() tells an inner middleware how its call ended if the outer one ${does}`, async (t) => {
    t.mock.method(process, 'emitWarning', () => {});
    const failures: unknown[] = [];
    const limits = { maxConcurrentStreams: 100, maxMessageSize: 10_000 };
    const engine = (await createEngine('direct', limits))
      .use(async function* outer<Req, Res>(
        call: ServerMiddlewareCall<Req, Res>,
        context: CallContext,
      ) {
        const response = yield* call.next(call.request, context);
        return act(Object(response), context) ? response : undefined;
      })
      .use(async function* inner<Req, Res>(
        call: ServerMiddlewareCall<Req, Res>,
        context: CallContext & Sending,
      ) {
        context.whenSent?.((failure) => failures.push(failure));
        return yield* call.next(call.request, context);
      });
    engine.add(PingDefinition, { ping: async () => ({ text: 'x' }) });
    await using client = await serve(engine);

    await assert.rejects(client.ping.ping({}), { code });

    const [failure, ...more] = failures;
    assert.ok(failure instanceof Error);
    assert.equal(codeOf(failure, false), code);
    assert.deepEqual(more, []);
  });
}
