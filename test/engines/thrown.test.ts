import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { type CallContext, ServerError, type ServerMiddlewareCall, Status } from 'nice-grpc-common';
import type { Abortable } from '../../src/context.ts';
import { EchoDefinition, type EchoServiceImplementation as Greet } from '../echo/gen/echo.ts';
import { serve } from '../support/harness.ts';
import { call, failing, type Kind, kinds, rpcMethods, unusedEcho } from '../support/kinds.ts';
import { dialChannel, serverTls } from '../support/tls.ts';
import { createEngine } from '../support/engine.ts';

type Context = CallContext & Abortable;
type Service = Greet<Context>;

/** A thrown value, and the code that the caller gets without the chain; with the chain it may differ. */
interface Thrown {
  make: () => unknown;
  code: number;
  throughChain?: number;
}

function serverError(more: object): ServerError {
  return Object.assign(new ServerError(Status.NOT_FOUND, 'x'), more);
}

const unknown = { code: Status.UNKNOWN, throughChain: Status.INTERNAL };
const touchy = () =>
  new Proxy(new Error('x'), {
    get: () => assert.fail('get'),
    has: () => assert.fail('has'),
    getPrototypeOf: () => assert.fail('getPrototypeOf'),
    ownKeys: () => assert.fail('ownKeys'),
  });
const withGetters = () =>
  Object.defineProperties(new Error('x'), {
    message: { get: () => assert.fail('message') },
    stack: { get: () => assert.fail('stack') },
    name: { get: () => assert.fail('name') },
  });

const things: Record<string, Thrown> = {
  undefined: { make: () => undefined, ...unknown },
  null: { make: () => null, ...unknown },
  'a string': { make: () => 'text', ...unknown },
  'a symbol': { make: () => Symbol('text'), ...unknown },
  'a function': { make: () => () => {}, ...unknown },
  'an object without a prototype': { make: () => Object.create(null), ...unknown },
  'a proxy that throws': { make: touchy, ...unknown },
  'an error whose getters throw': { make: withGetters, ...unknown },
  'a frozen error': { make: () => Object.freeze(new Error('x')), ...unknown },
  'a frozen ServerError': {
    make: () => Object.freeze(new ServerError(Status.NOT_FOUND, 'no \ud83d')),
    code: Status.NOT_FOUND,
  },
  ...Object.fromEntries(
    [undefined, null, 5, {}, Symbol('x'), { toString: () => assert.fail('toString') }].map(
      (details, index): [string, Thrown] => [
        `details that are no text (${index})`,
        { make: () => serverError({ details }), code: Status.NOT_FOUND },
      ],
    ),
  ),
  'a ServerError made without details': {
    make: () => Reflect.construct(ServerError, [Status.NOT_FOUND, undefined]),
    code: Status.NOT_FOUND,
  },
  ...Object.fromEntries(
    [Number.NaN, -1, 1.5, '5', undefined, 1e21, Symbol('x')].map((code): [string, Thrown] => [
      `the code ${String(code)}`,
      { make: () => serverError({ code }), code: Status.UNKNOWN },
    ]),
  ),
  'the code 99': { make: () => serverError({ code: 99 }), code: 99 },
};

/** Places to throw it. */
const ways: Record<string, (make: () => unknown) => Partial<Service>> = {
  'at once': (make) => {
    const thrower = () => {
      throw make();
    };
    return each(thrower, thrower);
  },
  'by rejection, from a stream after a reply': (make) => failing(make),
  'by abort()': (make) => {
    const aborting = async (_request: unknown, context: Context) => {
      // A service may pass anything, whatever the types say.
      Reflect.apply(context.abort, undefined, [make()]);
      return {};
    };
    return each(aborting, async function* stream(request, context) {
      yield {};
      yield await aborting(request, context);
    });
  },
};

function each(
  one: (request: unknown, context: Context) => Promise<object>,
  stream: (request: unknown, context: Context) => AsyncIterable<object>,
): Partial<Service> {
  return {
    unary: one,
    clientStream: one,
    serverStream: stream,
    bidi: stream,
  };
}

/** Serves without the chain, behind the middleware that `before` adds. */
async function dial(name: 'direct' | 'grpc-js', service: Partial<Service>, fail?: () => unknown) {
  const plain = await createEngine(name, { maxConcurrentStreams: 100, maxMessageSize: 10_000 });
  const engine = fail
    ? plain.use(async function* thrower<Req, Res>(
        incoming: ServerMiddlewareCall<Req, Res>,
        context: CallContext,
      ) {
        yield* incoming.next(incoming.request, context);
        throw fail();
      })
    : plain;
  engine.add(EchoDefinition, { ...unusedEcho, ...service });
  const address = `127.0.0.1:${await engine.listen({ host: '127.0.0.1', port: 0 }, serverTls)}`;
  const channel = dialChannel(address);
  return {
    client: createClient(EchoDefinition, channel),
    async [Symbol.asyncDispose]() {
      channel.close();
      await engine.shutdown();
    },
  };
}

/** The status code of a call. */
async function codeOf(client: Parameters<typeof call>[0], kind: Kind): Promise<number> {
  try {
    await call(client, kind);
    return Status.OK;
  } catch (error) {
    const { code }: { code?: number } = Object(error);
    return code ?? assert.fail(String(error));
  }
}

for (const name of ['direct', 'grpc-js'] as const) {
  for (const [what, { make, code, throughChain = code }] of Object.entries(things)) {
    for (const [how, service] of Object.entries(ways)) {
      test(`${name}: ${what}, thrown ${how}, ends every kind of call with ${code}`, async (t) => {
        t.mock.method(process, 'emitWarning', () => {});
        await using server = await dial(name, service(make));
        for (const kind of kinds) assert.equal(await codeOf(server.client, kind), code, kind);
      });
    }

    test(`${name}: ${what}, thrown by middleware, ends every kind of call with ${code}`, async (t) => {
      t.mock.method(process, 'emitWarning', () => {});
      const fine = each(
        async () => ({}),
        async function* none() {},
      );
      await using server = await dial(name, fine, make);
      for (const kind of kinds) assert.equal(await codeOf(server.client, kind), code, kind);
    });

    test(`${name}: ${what}, thrown behind the chain, ends every kind of call with ${throughChain}, and is logged`, async () => {
      for (const service of [failing(make), ways['at once']?.(make)]) {
        await using running = await serve({ engine: name, echo: service });
        for (const kind of kinds) {
          assert.equal(await codeOf(running.client, kind), throughChain, kind);
          const line = await running.log.line({
            'rpc.method': rpcMethods[kind],
            'rpc.status_code': Status[throughChain] ?? String(throughChain),
          });
          // A server fault has its cause in the log.
          if (line['level'] === 50) assert.notEqual(line['err'], undefined);
        }
      }
    });
  }
}
