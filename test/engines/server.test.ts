// oxlint-disable oxc/no-async-endpoint-handlers -- this is no Express
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { experimental, ServerCredentials, ServerInterceptingCall } from '@grpc/grpc-js';
import { ChannelCredentials, createChannel, createClient, type Server } from 'nice-grpc';
import { type CallContext, type ServerMiddlewareCall, Status } from 'nice-grpc-common';
import {
  EchoDefinition,
  type EchoServiceImplementation,
  PingDefinition,
} from '../echo/gen/echo.ts';
import { dial as dialPath } from '../../src/transport/client.ts';
import type { Engine } from '../../src/transport/engine_types.ts';
import { certificate } from '../support/certificate.ts';
import { handshake } from '../support/handshake.ts';
import { eventually } from '../support/harness.ts';
import { call, kinds, unending, unusedEcho, waiting } from '../support/kinds.ts';
import { createEngine } from '../support/engine.ts';

const limits = { maxConcurrentStreams: 100, maxMessageSize: 1_000_000 };
const names = ['direct', 'grpc-js'] as const;
const anywhere = '127.0.0.1:0';
const ping = { ping: async ({ text }: { text: string }) => ({ text }) };
const unimplemented = { code: Status.UNIMPLEMENTED };

/** Creates servers that are closed at the end of a test. */
function creator(name: (typeof names)[number], t: TestContext): () => Promise<Engine> {
  return async () => {
    const engine = await createEngine(name, limits);
    t.after(() => engine.forceShutdown());
    return engine;
  };
}

/** Listens as nice-grpc's users do, and opens a channel until the end of the test. */
async function dial(server: Pick<Server, 'listen' | 'forceShutdown'>, t: TestContext) {
  t.after(() => server.forceShutdown());
  const channel = createChannel(`127.0.0.1:${await server.listen(anywhere)}`);
  t.after(() => channel.close());
  return {
    ping: createClient(PingDefinition, channel),
    echo: createClient(EchoDefinition, channel),
  };
}

async function* pass<Req, Res>(call: ServerMiddlewareCall<Req, Res>, context: CallContext) {
  return yield* call.next(call.request, context);
}

/** Middleware that adds a name to the context. */
async function* addName<Req, Res>(
  call: ServerMiddlewareCall<Req, Res, { name: string }>,
  context: CallContext,
) {
  return yield* call.next(call.request, { ...context, name: 'Keys' });
}

for (const name of names) {
  test(`${name}: use() returns a server with its own services and addresses`, async (t) => {
    const server = await creator(name, t)();
    const other = server.use(pass);
    other.add(PingDefinition, ping);
    server.add(EchoDefinition, { ...unusedEcho, unary: async () => ({ text: 'x' }) });
    const [one, two] = [await dial(server, t), await dial(other, t)];

    assert.deepEqual(await one.echo.unary({}), { text: 'x' });
    assert.deepEqual(await two.ping.ping({ text: 'x' }), { text: 'x' });
    await assert.rejects(one.ping.ping({}), unimplemented);
    await assert.rejects(two.echo.unary({}), unimplemented);
    await server.shutdown();
    assert.deepEqual(await two.ping.ping({ text: 'y' }), { text: 'y' });
    await other.shutdown();
  });

  test(`${name}: shutdown() does not wait for the calls of another server`, async (t) => {
    const server = await creator(name, t)();
    const other = server.use(pass);
    other.add(EchoDefinition, { ...unusedEcho, ...waiting() });
    server.add(PingDefinition, ping);
    const [one, two] = [await dial(server, t), await dial(other, t)];
    await one.ping.ping({});
    const replies = two.echo.serverStream({})[Symbol.asyncIterator]();
    await replies.next();

    const [calls, ofOther] = [server.counts.calls, other.counts.calls];
    await server.shutdown();

    assert.deepEqual([calls, ofOther, other.counts.calls], [0, 1, 1]);
    const ended = assert.rejects(replies.next());
    other.forceShutdown();
    await ended;
  });

  test(`${name}: add() and use() after listen() throw, until shutdown()`, async (t) => {
    const server = await creator(name, t)();
    const builder = server.with(pass);
    server.add(PingDefinition, ping);
    await server.listen(anywhere);
    const tooLate = { message: 'Cannot add a service: add() must come before listen()' };
    const echo = { ...unusedEcho, unary: async () => ({ text: 'x' }) };

    assert.throws(() => server.add(EchoDefinition, echo), tooLate);
    assert.throws(() => builder.add(EchoDefinition, echo), tooLate);
    assert.throws(() => server.with(pass).add(EchoDefinition, echo), tooLate);
    assert.throws(() => server.use(pass), {
      message: 'Cannot use middleware: use() must come before listen()',
    });
    await server.shutdown();
    server.add(EchoDefinition, echo);

    const client = await dial(server, t);
    assert.deepEqual(await client.ping.ping({ text: 'x' }), { text: 'x' });
    assert.deepEqual(await client.echo.unary({}), { text: 'x' });
  });

  test(`${name}: use() after add() throws, also after with().add()`, async (t) => {
    const tooLate = { message: 'Cannot use middleware: use() must come before add()' };
    const create = creator(name, t);
    const [one, two] = [await create(), await create()];
    one.add(PingDefinition, ping);
    two.with(pass).add(PingDefinition, ping);

    assert.throws(() => one.use(pass), tooLate);
    assert.throws(() => two.use(pass), tooLate);
  });

  const unserved: Record<string, [(server: Engine) => void, string]> = {
    'of which a method is missing': [
      (server) => {
        const { unary: _, ...partial }: Partial<EchoServiceImplementation> = unusedEcho;
        server.add(EchoDefinition, Object.assign(partial));
      },
      'Cannot serve "/echo.Echo/Unary": its implementation has no function "unary"',
    ],
    'of which a method is no function': [
      (server) => server.add(PingDefinition, Object.assign({ ping: 1 })),
      'Cannot serve "/echo.Ping/Ping": its implementation has no function "ping"',
    ],
    'that was added twice': [
      (server) => {
        server.add(PingDefinition, ping);
        server.with(pass).add(PingDefinition, ping);
      },
      'Cannot serve "/echo.Ping/Ping": it has been added twice',
    ],
    'without methods': [
      (server) => server.add({ name: 'None', fullName: 'None', methods: {} }, {}),
      'Cannot serve a service: it has no methods',
    ],
  };
  for (const [what, [add, message]] of Object.entries(unserved)) {
    test(`${name}: listen() rejects with a clear error for a service ${what}`, async (t) => {
      const server = await creator(name, t)();
      add(server);

      await assert.rejects(server.listen(anywhere), { message });
      await assert.rejects(server.listen({ host: '127.0.0.1', port: 0 }), { message });
    });
  }

  test(`${name}: a service's methods are those of its class, with its this, when listen() starts`, async (t) => {
    class Base {
      protected greeting = 'Bello';
      async ping({ text }: { text: string }) {
        return { text: `${this.greeting} ${text}` };
      }
    }
    class Service extends Base {}
    const service = new Service();
    const server = await creator(name, t)();
    server.add(PingDefinition, service);
    Object.assign(service, { greeting: 'Ciao' });
    const client = await dial(server, t);
    Object.assign(service, { ping: async () => ({ text: 'late' }) });

    assert.deepEqual(await client.ping.ping({ text: 'Keys' }), { text: 'Ciao Keys' });
  });

  test(`${name}: listen() that fails leaves the server unchanged`, async (t) => {
    const create = creator(name, t);
    const [taken, server] = [await create(), await create()];
    taken.add(PingDefinition, ping);
    const port = await taken.listen(anywhere);
    server.add(PingDefinition, ping);

    await assert.rejects(server.listen(`127.0.0.1:${port}`), /EADDRINUSE/);
    server.add(EchoDefinition, { ...unusedEcho, unary: async () => ({ text: 'x' }) });

    const client = await dial(server, t);
    assert.deepEqual(await client.echo.unary({}), { text: 'x' });
  });

  test(`${name}: shutdown() and forceShutdown() before listen(), or repeated, do nothing`, async (t) => {
    const server = await creator(name, t)();
    server.forceShutdown();
    await server.shutdown();
    assert.equal(server.counts.calls, 0);
    server.add(PingDefinition, ping);
    const client = await dial(server, t);
    assert.deepEqual(await client.ping.ping({ text: 'x' }), { text: 'x' });

    await Promise.all([server.shutdown(), server.shutdown()]);
    server.forceShutdown();
    await server.shutdown();

    await assert.rejects(client.ping.ping({}), { code: Status.UNAVAILABLE });
  });

  test(`${name}: listen() rejects while the server shuts down`, async (t) => {
    const server = await creator(name, t)();
    server.add(EchoDefinition, { ...unusedEcho, ...waiting() });
    const client = await dial(server, t);
    const replies = client.echo.serverStream({})[Symbol.asyncIterator]();
    await replies.next();

    const stopped = server.shutdown();
    const message = 'Cannot listen: the server is shutting down';
    await assert.rejects(server.listen(anywhere), { message });
    const ended = assert.rejects(replies.next());
    server.forceShutdown();

    await ended;
    await stopped;
  });

  for (const kind of kinds) {
    const code = name === 'direct' ? Status.UNAVAILABLE : Status.CANCELLED;
    test(`${name}: forceShutdown() ends a ${kind} call with ${Status[code]}, and aborts its signal`, async (t) => {
      let signal: AbortSignal | undefined;
      const engine = (await creator(name, t)()).use(async function* look<Req, Res>(
        call: ServerMiddlewareCall<Req, Res>,
        context: CallContext,
      ) {
        signal = context.signal;
        return yield* call.next(call.request, context);
      });
      engine.add(EchoDefinition, { ...unusedEcho, ...waiting() });
      const { echo } = await dial(engine, t);
      const ended = assert.rejects(call(echo, kind, { requests: unending() }), { code });
      await eventually('a call', () => signal !== undefined);

      engine.forceShutdown();

      await ended;
      await eventually('an aborted signal', () => signal?.aborted === true);
      await eventually('no open call', () => engine.counts.calls === 0);
    });
  }

  test(`${name}: with() adds context for its service only`, async (t) => {
    const server: Server = await creator(name, t)();
    server.with(addName).add(PingDefinition, {
      ping: async (_request, context) => ({ text: context.name }),
    });
    const others = { ...unusedEcho };
    server.add(EchoDefinition, {
      ...others,
      unary: async (_request, context) => ({ text: String('name' in context) }),
    });
    const client = await dial(server, t);

    assert.deepEqual(await client.ping.ping({}), { text: 'Keys' });
    assert.deepEqual(await client.echo.unary({}), { text: 'false' });
  });

  test(`${name}: use() adds context for all services, checked by their types`, async (t) => {
    const server: Server<{ name: string }> = (await creator(name, t)()).use(addName);
    const needing = async function* needing<Req, Res>(
      call: ServerMiddlewareCall<Req, Res, { length: number }>,
      context: CallContext & { name: string },
    ) {
      return yield* call.next(call.request, { ...context, length: context.name.length });
    };
    server.use(needing).add(PingDefinition, {
      ping: async (_request, context) => ({ text: `${context.name} ${context.length}` }),
    });
    // @ts-expect-error -- nothing gives it the name that it needs
    (await creator(name, t)()).use(needing);
    const last = server.use(needing);
    last.add(PingDefinition, {
      ping: async (_request, context) => ({ text: `${context.name} ${context.length}` }),
    });
    const client = await dial(last, t);

    assert.deepEqual(await client.ping.ping({}), { text: 'Keys 4' });
  });

  test(`${name}: listen() accepts grpc-js's credentials`, async (t) => {
    const [own, ca] = await Promise.all([certificate(), certificate({ name: 'authority' })]);
    const client = await certificate({ signer: ca });
    const pair = { cert_chain: Buffer.from(own.cert), private_key: Buffer.from(own.key) };
    const root = Buffer.from(own.cert);
    const shown = [Buffer.from(client.key), Buffer.from(client.cert)] as const;
    const server = await creator(name, t)();
    server.add(PingDefinition, ping);
    const insecure = await server.listen(anywhere, ServerCredentials.createInsecure());
    const open = await server.listen(anywhere, ServerCredentials.createSsl(null, [pair]));
    const mutual = ServerCredentials.createSsl(Buffer.from(ca.cert), [pair], true);
    const closed = await server.listen(anywhere, mutual);
    const callOn = async (port: number, credentials: ChannelCredentials) => {
      const channel = createChannel(`localhost:${port}`, credentials);
      t.after(() => channel.close());
      return createClient(PingDefinition, channel).ping({ text: 'x' });
    };

    await callOn(insecure, ChannelCredentials.createInsecure());
    await callOn(open, ChannelCredentials.createSsl(root));
    await callOn(closed, ChannelCredentials.createSsl(root, ...shown));
    await assert.rejects(callOn(closed, ChannelCredentials.createSsl(root)), {
      code: Status.UNAVAILABLE,
    });
    await assert.rejects(callOn(open, ChannelCredentials.createInsecure()), {
      code: Status.UNAVAILABLE,
    });
  });

  test(`${name}: listen() accepts unix:PATH, and returns 1 as its port`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'seam-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const server = await creator(name, t)();
    server.add(PingDefinition, ping);

    for (const address of [`unix:${folder}/a`, `unix://${folder}/b`]) {
      assert.equal(await server.listen(address), 1);
      const channel = dialPath({ address });
      t.after(() => channel.close());
      const { text } = await createClient(PingDefinition, channel).ping({ text: address });
      assert.equal(text, address);
    }
    await server.shutdown();
  });
}

test('direct: forceShutdown() closes a connection whose handshake ends later', async () => {
  const server = await createEngine('direct', limits);
  const port = (await server.listen({ host: '127.0.0.1', port: 0 }, await certificate())) ?? 0;
  const tcp = connect(port, '127.0.0.1');
  await once(tcp, 'connect');
  // Earlier connections have been accepted.
  await handshake(port);

  server.forceShutdown();

  const socket = connectTls({ socket: tcp, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  socket.on('error', () => {});
  let heard = 0;
  socket.on('data', (bytes: Buffer) => void (heard += bytes.length));
  await once(socket, 'close');
  assert.equal(heard, 0);
});

test('direct: listen() rejects an invalid address', async () => {
  const server: Server = await createEngine('direct', limits);
  for (const address of ['localhost', ':1', '127.0.0.1:65536', '::1:1', 'dns:localhost:1', '']) {
    await assert.rejects(server.listen(address), {
      message: `Cannot listen on "${address}": an address is "HOST:PORT", "[V6]:PORT" or "unix:PATH"`,
    });
  }
});

test('direct: listen() rejects credentials with more than a certificate, a key and client CAs', async () => {
  const { cert, key } = await certificate();
  const pair = { cert_chain: Buffer.from(cert), private_key: Buffer.from(key) };
  const root = Buffer.from(cert);
  const plain = ServerCredentials.createInsecure();
  const server: Server = await createEngine('direct', limits);
  for (const credentials of [
    ServerCredentials.createSsl(null, [pair, pair]),
    ServerCredentials.createSsl(null, []),
    Object.assign(ServerCredentials.createSsl(root, [pair], true), {
      _getSecureContextOptions: () => ({ cert, key }),
    }),
    Object.assign(ServerCredentials.createSsl(root, [pair], true), {
      _getConstructorOptions: () => ({ requestCert: true, rejectUnauthorized: false }),
    }),
    experimental.createServerCredentialsWithInterceptors(plain, [
      (_, each) => new ServerInterceptingCall(each),
    ]),
  ]) {
    await assert.rejects(server.listen(anywhere, credentials), {
      message: /^Cannot serve with these credentials: /,
    });
  }
});
