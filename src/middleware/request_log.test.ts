import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type Client, createClient } from 'nice-grpc';
import { Metadata, ServerError, Status } from 'nice-grpc-common';
import { pino } from 'pino';
import { engineName, memoryLog, serve, until } from '../../test/support/harness.ts';
import {
  call,
  failing,
  kinds,
  paths,
  rpcMethods,
  unending,
  waiting,
} from '../../test/support/kinds.ts';
import { EchoDefinition, PingDefinition } from '../../test/echo/gen/echo.ts';
import { HealthDefinition } from '../gen/grpc/health/v1/health.ts';
import { ServerReflectionDefinition } from '../gen/grpc/reflection/v1/reflection.ts';
import { createCallCounts } from '../observability/call_counts.ts';
import { dial } from '../transport/client.ts';
import { requestLog, type RequestLogOptions } from './request_log.ts';
import { createEngine } from '../../test/support/engine.ts';

for (const kind of kinds) {
  test(`requestLog() writes one line for a ${kind} call that succeeds`, async () => {
    await using running = await serve();

    await call(running.client, kind);
    const line = await running.log.line({ 'rpc.method': rpcMethods[kind] });

    assert.partialDeepStrictEqual(line, { 'rpc.status_code': 'OK', level: 30, msg: 'call ended' });
    assert.match(String(line['peer']), /^127\.0\.0\.1:\d+$/);
    assert.equal(typeof line['duration_ms'], 'number');
    assert.equal(running.log.lines.length, 1);
  });

  test(`requestLog() writes the code of a ${kind} call that fails`, async () => {
    const notFound = () => new ServerError(Status.NOT_FOUND, 'no');
    await using running = await serve({ echo: failing(notFound) });

    await assert.rejects(call(running.client, kind), { code: Status.NOT_FOUND });

    const line = await running.log.line({ 'rpc.method': rpcMethods[kind] });
    assert.partialDeepStrictEqual(line, {
      'rpc.status_code': 'NOT_FOUND',
      level: 30,
      msg: 'call ended',
    });
  });

  test(`requestLog() writes an error, with its cause, for a ${kind} call with a server fault`, async () => {
    await using running = await serve({ echo: failing(() => new Error('no such table')) });

    await assert.rejects(call(running.client, kind), { code: Status.INTERNAL });

    const line = await running.log.line({ 'rpc.method': rpcMethods[kind] });
    assert.partialDeepStrictEqual(line, {
      'rpc.status_code': 'INTERNAL',
      level: 50,
      msg: 'call failed',
    });
    assert.partialDeepStrictEqual(line['err'], { type: 'Error', message: 'no such table' });
  });

  test(`requestLog() writes CANCELLED for a ${kind} call that its caller cancels`, async () => {
    await using running = await serve({ echo: waiting() });
    const cancel = new AbortController();
    const { signal } = cancel;
    const cancelled = call(running.client, kind, { signal, requests: unending() });
    await Promise.race([cancelled, until(() => running.openCalls.inChain === 1)]);

    cancel.abort();

    await assert.rejects(cancelled, { name: 'AbortError' });
    const line = await running.log.line({ 'rpc.method': rpcMethods[kind] });
    assert.partialDeepStrictEqual(line, {
      'rpc.status_code': 'CANCELLED',
      level: 30,
      msg: 'call ended',
    });
  });
}

/** The headers and trailers of a response. */
function responseTo(client: Client<typeof EchoDefinition>, id?: string) {
  const found: Record<string, string | undefined> = { header: undefined, trailer: undefined };
  const response = client.unary(
    {},
    {
      metadata: Metadata(id === undefined ? {} : { 'x-request-id': id }),
      onHeader: (header) => (found['header'] = header.get('x-request-id')),
      onTrailer: (trailer) => (found['trailer'] = trailer.get('x-request-id')),
    },
  );
  return response.catch(() => {}).then(() => found);
}

test("requestLog() uses the caller's request ID if it is at most 128 visible ASCII characters, and generates others", async () => {
  await using running = await serve();
  const usable = ['abc-123', '"'.repeat(128), '~!'];
  const others = ['x'.repeat(129), 'a b', '', undefined];

  for (const id of [...usable, ...others]) await responseTo(running.client, id);

  const ids = running.log.lines.map((line) => String(line['request_id']));
  assert.deepEqual(ids.slice(0, usable.length), usable);
  assert.equal(new Set(ids).size, usable.length + others.length);
  assert.ok(ids.every((id) => /^[!-~]{1,128}$/.test(id)));
});

test('requestLog() returns the request ID in the headers of every response', async () => {
  await using running = await serve();

  const own = await responseTo(running.client, 'abc-123');
  const asked = await responseTo(running.client, '');
  const silent = await responseTo(running.client);

  const [, second, third] = running.log.lines.map((line) => line['request_id']);
  assert.deepEqual(own, { header: 'abc-123', trailer: undefined });
  assert.deepEqual(asked, { header: second, trailer: undefined });
  assert.deepEqual(silent, { header: third, trailer: undefined });
});

test('requestLog() returns the request ID of a failed call in the trailers only, as headers would prevent retries', async () => {
  const unavailable = () => new ServerError(Status.UNAVAILABLE, 'not yet');
  await using running = await serve({ echo: failing(unavailable) });

  const own = await responseTo(running.client, 'abc-123');
  const silent = await responseTo(running.client);

  const made = running.log.lines[1]?.['request_id'];
  assert.deepEqual(own, { header: undefined, trailer: 'abc-123' });
  assert.deepEqual(silent, { header: undefined, trailer: made });
});

test('requestLog() writes the duration with three decimals', async (t) => {
  const times = [1000, 1001.234567];
  const { log, client } = await serveLogged(t, { now: () => times.shift() ?? Number.NaN });

  await client.ping({});

  const { duration_ms } = await log.line({ msg: 'call ended' });
  assert.equal(duration_ms, 1.235);
});

test('requestLog() writes _OTHER for an unknown method, and its name', async () => {
  await using running = await serve({ engine: 'direct' });
  const nope = { ...EchoDefinition.methods.unary, name: 'Nope' };
  const client = createClient({ ...EchoDefinition, methods: { nope } }, running.channel);

  await assert.rejects(client.nope({}), { code: Status.UNIMPLEMENTED });

  const line = await running.log.line({ 'rpc.method': '_OTHER' });
  assert.equal(line['rpc.method_original'], 'echo.Echo/Nope');
});

test('requestLog() writes calls of health and reflection at debug, whatever their status', async () => {
  await using running = await serve();
  const health = createClient(HealthDefinition, running.channel);
  const reflection = createClient(ServerReflectionDefinition, running.channel);
  const listServices = async function* listServices() {
    yield { listServices: '' };
  };

  await health.check({});
  await assert.rejects(health.check({ service: 'nope' }), { code: Status.NOT_FOUND });
  await Array.fromAsync(reflection.serverReflectionInfo(listServices()));
  await running.client.unary({});
  await running.log.line({ 'rpc.method': rpcMethods.unary });

  assert.deepEqual(
    running.log.lines.map((line) => [line['level'], line['rpc.status_code']]),
    [
      [20, 'OK'],
      [20, 'NOT_FOUND'],
      [20, 'OK'],
      [30, 'OK'],
    ],
  );
});

test('requestLog() writes a server fault of a quiet call as an error', async (t) => {
  const { log, client } = await serveLogged(t, { quiet: new Set(['/echo.Ping/Ping']) });

  await assert.rejects(client.ping({ text: 'bug' }));

  await log.line({ msg: 'call failed', level: 50 });
});

test('requestLog() gives the service a logger that names the call', async () => {
  await using running = await serve({
    echo: {
      async unary(_request, { log }) {
        log.info('here');
        return {};
      },
    },
  });

  await running.client.unary({}, { metadata: Metadata({ 'x-request-id': 'mine' }) });

  const line = await running.log.line({ msg: 'here' });
  assert.partialDeepStrictEqual(line, { 'rpc.method': rpcMethods.unary, request_id: 'mine' });
});

test('requestLog() writes the reason of a call that was refused or cut, as sent to its caller', async () => {
  const notFound = () => new ServerError(Status.NOT_FOUND, 'Cannot find table "x"');
  await using full = await serve({ maxInFlight: 1, echo: waiting() });
  await using failingServer = await serve({ echo: failing(notFound) });
  const open = call(full.client, 'bidi', { requests: unending() }).catch(() => {});
  await until(() => full.openCalls.inChain === 1);

  await assert.rejects(call(full.client, 'unary'), { code: Status.RESOURCE_EXHAUSTED });
  await assert.rejects(call(failingServer.client, 'unary'), { code: Status.NOT_FOUND });
  void full.openCalls.cut();
  await open;
  await assert.rejects(call(full.client, 'serverStream'), { code: Status.UNAVAILABLE });

  const limited = await full.log.line({ 'rpc.method': rpcMethods.unary });
  const cut = await full.log.line({ 'rpc.method': rpcMethods.bidi });
  const leaving = await full.log.line({ 'rpc.method': rpcMethods.serverStream });
  const failed = await failingServer.log.line({ 'rpc.method': rpcMethods.unary });
  const ends = [limited, cut, leaving, failed].map((line) => [
    line['rpc.status_code'],
    line['reason'],
  ]);
  assert.deepEqual(ends, [
    ['RESOURCE_EXHAUSTED', 'Cannot accept more calls: at most 1 at once'],
    ['UNAVAILABLE', 'Server is shutting down'],
    ['UNAVAILABLE', 'Server is shutting down'],
    ['NOT_FOUND', 'Cannot find table "x"'],
  ]);
});

test('requestLog() writes no reason for a call that succeeds or that its caller cancels', async () => {
  await using running = await serve({ echo: { ...waiting(), unary: async () => ({}) } });
  const cancel = new AbortController();
  const cancelled = call(running.client, 'serverStream', { signal: cancel.signal });
  await until(() => running.openCalls.inChain === 1);

  cancel.abort();
  await assert.rejects(cancelled, { name: 'AbortError' });
  await call(running.client, 'unary');

  for (const code of ['CANCELLED', 'OK']) {
    assert.equal('reason' in (await running.log.line({ 'rpc.status_code': code })), false, code);
  }
});

for (const [accessLog, codes] of [
  ['all', ['OK', 'NOT_FOUND', 'INTERNAL']],
  ['errors', ['NOT_FOUND', 'INTERNAL']],
  ['off', ['INTERNAL']],
] as const) {
  test(`requestLog() writes the lines of ${codes.join(', ')} with ${accessLog}, and counts every call`, async () => {
    await using running = await serve({
      accessLog,
      echo: {
        async unary({ text }) {
          if (text === 'nobody') throw new ServerError(Status.NOT_FOUND, 'no');
          if (text === 'bug') throw new Error('no such table');
          return {};
        },
      },
    });

    for (const text of ['Keys', 'nobody', 'bug']) {
      await running.client.unary({ text }).catch(() => {});
    }
    await running.log.line({ 'rpc.status_code': 'INTERNAL' });

    assert.deepEqual(
      running.log.lines.map((line) => line['rpc.status_code']),
      codes,
    );
    const { started, handled } = running.calls.of(paths.unary);
    assert.deepEqual([started, handled.reduce((sum, count) => sum + count, 0)], [3, 3]);
  });
}

/** A Hello service behind this middleware only. */
async function serveLogged(t: TestContext, options: Partial<RequestLogOptions>) {
  const log = memoryLog();
  const engine = await createEngine(engineName, { maxConcurrentStreams: 10, maxMessageSize: 1024 });
  const server = engine.use(
    requestLog({ log: pino({ base: null }, log), counts: createCallCounts([]), ...options }),
  );
  server.add(PingDefinition, {
    async ping({ text }) {
      if (text === 'nobody') throw new ServerError(Status.NOT_FOUND, 'no');
      if (text === 'bug') throw new Error('no such table');
      return {};
    },
  });
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  const channel = dial({ address: `127.0.0.1:${port}` });
  t.after(() => {
    channel.close();
    server.forceShutdown();
  });
  return { log, client: createClient(PingDefinition, channel) };
}

test('requestLog() writes a random one in N of the calls that end with OK, and all others', async (t) => {
  const draws = [0, 0.99, 0.09, 0.1, 0.11];
  const { log, client } = await serveLogged(t, {
    accessLog: { oneIn: 10 },
    random: () => draws.shift() ?? assert.fail('drawn for a call that did not end OK'),
  });
  const ping = (text: string) =>
    client.ping({ text }, { metadata: Metadata({ 'x-request-id': text }) });

  for (const text of ['a', 'b', 'c', 'd', 'e']) await ping(text);
  await assert.rejects(ping('nobody'), { code: Status.NOT_FOUND });
  await log.line({ request_id: 'nobody' });

  assert.deepEqual(
    log.lines.map((line) => line['request_id']),
    ['a', 'c', 'nobody'],
  );
  assert.deepEqual(draws, []);
});
