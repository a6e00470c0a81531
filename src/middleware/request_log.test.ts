import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Metadata, ServerError, Status } from 'nice-grpc-common';
import { pino } from 'pino';
import { engineName, memoryLog, serve, until } from '../../test/harness.ts';
import { call, failing, kinds, paths, unending, waiting } from '../../test/kinds.ts';
import { HelloDefinition } from '../gen/hello.ts';
import { createCallCounts } from '../observability/call_counts.ts';
import { dial } from '../transport/client.ts';
import { createEngine } from '../transport/engine.ts';
import { requestLog } from './request_log.ts';

for (const kind of kinds) {
  test(`requestLog() writes one line for a ${kind} call that ends well`, async () => {
    await using running = await serve();

    await call(running.client, kind);
    const line = await running.log.line({ rpc: paths[kind] });

    assert.partialDeepStrictEqual(line, { code: 'OK', level: 30, msg: 'call ended' });
    assert.match(String(line['peer']), /^127\.0\.0\.1:\d+$/);
    assert.equal(typeof line['ms'], 'number');
    assert.equal(running.log.lines.length, 1);
  });

  test(`requestLog() writes the code of a ${kind} call that fails`, async () => {
    const notFound = () => new ServerError(Status.NOT_FOUND, 'no');
    await using running = await serve({ greet: failing(notFound) });

    await assert.rejects(call(running.client, kind), { code: Status.NOT_FOUND });

    const line = await running.log.line({ rpc: paths[kind] });
    assert.partialDeepStrictEqual(line, { code: 'NOT_FOUND', level: 30, msg: 'call ended' });
  });

  test(`requestLog() writes an error, with its cause, for a ${kind} call that we broke`, async () => {
    await using running = await serve({ greet: failing(() => new Error('no such table')) });

    await assert.rejects(call(running.client, kind), { code: Status.INTERNAL });

    const line = await running.log.line({ rpc: paths[kind] });
    assert.partialDeepStrictEqual(line, { code: 'INTERNAL', level: 50, msg: 'call failed' });
    assert.partialDeepStrictEqual(line['err'], { type: 'Error', message: 'no such table' });
  });

  test(`requestLog() writes CANCELLED for a ${kind} call that its caller cancels`, async () => {
    await using running = await serve({ greet: waiting() });
    const cancel = new AbortController();
    const { signal } = cancel;
    const cancelled = call(running.client, kind, { signal, requests: unending() });
    await Promise.race([cancelled, until(() => running.openCalls.inChain === 1)]);

    cancel.abort();

    await assert.rejects(cancelled, { name: 'AbortError' });
    const line = await running.log.line({ rpc: paths[kind] });
    assert.partialDeepStrictEqual(line, { code: 'CANCELLED', level: 30, msg: 'call ended' });
  });
}

test("requestLog() keeps the caller's request id, where it fits in a line, and makes others", async () => {
  await using running = await serve();
  const call = (id?: string) =>
    running.client.sayHello(
      {},
      { metadata: Metadata(id === undefined ? {} : { 'x-request-id': id }) },
    );

  await call('abc-123');
  await call();
  await call('x'.repeat(129));
  // A quote is two bytes of JSON.
  await call('"'.repeat(64));
  await call('"'.repeat(65));
  await running.log.line({ requestId: 'abc-123' });
  await running.log.line({ requestId: '"'.repeat(64) });

  const ids = running.log.lines.map(({ requestId }) => String(requestId));
  assert.equal(ids.length, 5);
  assert.equal(new Set(ids).size, 5);
  assert.ok(ids.every((id) => id.length > 0 && JSON.stringify(id).length <= 130));
});

test('requestLog() gives the service a logger that names the call', async () => {
  await using running = await serve({
    greet: {
      async sayHello(_request, { log }) {
        log.info('here');
        return {};
      },
    },
  });

  await running.client.sayHello({}, { metadata: Metadata({ 'x-request-id': 'mine' }) });

  const line = await running.log.line({ msg: 'here' });
  assert.partialDeepStrictEqual(line, { rpc: paths.unary, requestId: 'mine' });
});

test('requestLog() writes why a call was refused or cut, as its caller is told', async () => {
  const notFound = () => new ServerError(Status.NOT_FOUND, 'Cannot find table "x"');
  await using full = await serve({ maxInFlight: 1, greet: waiting() });
  await using failingServer = await serve({ greet: failing(notFound) });
  const open = call(full.client, 'bidi', { requests: unending() }).catch(() => {});
  await until(() => full.openCalls.inChain === 1);

  await assert.rejects(call(full.client, 'unary'), { code: Status.RESOURCE_EXHAUSTED });
  await assert.rejects(call(failingServer.client, 'unary'), { code: Status.NOT_FOUND });
  full.openCalls.cut();
  await open;
  await assert.rejects(call(full.client, 'serverStream'), { code: Status.UNAVAILABLE });

  const limited = await full.log.line({ rpc: paths.unary });
  const cut = await full.log.line({ rpc: paths.bidi });
  const leaving = await full.log.line({ rpc: paths.serverStream });
  const failed = await failingServer.log.line({ rpc: paths.unary });
  const ends = [limited, cut, leaving, failed].map(({ code, reason }) => [code, reason]);
  assert.deepEqual(ends, [
    ['RESOURCE_EXHAUSTED', 'Cannot take more calls: at most 1 at once'],
    ['UNAVAILABLE', 'Server is shutting down'],
    ['UNAVAILABLE', 'Server is shutting down'],
    ['NOT_FOUND', 'Cannot find table "x"'],
  ]);
});

test('requestLog() gives no reason for a call that ends well or that its caller cancels', async () => {
  await using running = await serve({ greet: { ...waiting(), sayHello: async () => ({}) } });
  const cancel = new AbortController();
  const cancelled = call(running.client, 'serverStream', { signal: cancel.signal });
  await until(() => running.openCalls.inChain === 1);

  cancel.abort();
  await assert.rejects(cancelled, { name: 'AbortError' });
  await call(running.client, 'unary');

  for (const code of ['CANCELLED', 'OK']) {
    assert.equal('reason' in (await running.log.line({ code })), false, code);
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
      greet: {
        async sayHello({ name }) {
          if (name === 'nobody') throw new ServerError(Status.NOT_FOUND, 'no');
          if (name === 'bug') throw new Error('no such table');
          return {};
        },
      },
    });

    for (const name of ['Keys', 'nobody', 'bug']) {
      await running.client.sayHello({ name }).catch(() => {});
    }
    await running.log.line({ code: 'INTERNAL' });

    assert.deepEqual(
      running.log.lines.map(({ code }) => code),
      codes,
    );
    const { started, handled } = running.calls.of(paths.unary);
    assert.deepEqual([started, handled.reduce((sum, count) => sum + count, 0)], [3, 3]);
  });
}

test('requestLog() draws one in N of the calls that end OK, and writes all others', async (t) => {
  const draws = [0, 0.99, 0.09, 0.1, 0.11];
  const log = memoryLog();
  const engine = await createEngine(engineName, { maxConcurrentStreams: 10, maxMessageSize: 1024 });
  const server = engine.use(
    requestLog({
      log: pino({ base: null }, log),
      counts: createCallCounts([]),
      accessLog: { oneIn: 10 },
      random: () => draws.shift() ?? assert.fail('drawn for a call that did not end OK'),
    }),
  );
  server.add(HelloDefinition, {
    async hello({ value }) {
      if (value === 'nobody') throw new ServerError(Status.NOT_FOUND, 'no');
      return {};
    },
  });
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  const channel = dial({ address: `127.0.0.1:${port}` });
  t.after(() => {
    channel.close();
    server.forceShutdown();
  });
  const client = createClient(HelloDefinition, channel);
  const hello = (value: string) =>
    client.hello({ value }, { metadata: Metadata({ 'x-request-id': value }) });

  for (const value of ['a', 'b', 'c', 'd', 'e']) await hello(value);
  await assert.rejects(hello('nobody'), { code: Status.NOT_FOUND });
  await log.line({ requestId: 'nobody' });

  assert.deepEqual(
    log.lines.map(({ requestId }) => requestId),
    ['a', 'c', 'nobody'],
  );
  assert.deepEqual(draws, []);
});
