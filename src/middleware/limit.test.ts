import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createChannel, createClient } from 'nice-grpc';
import { Metadata, Status } from 'nice-grpc-common';
import { constants } from 'node:http2';
import { pino } from 'pino';
import { exempt, feed, type Running, serve, until } from '../../test/support/harness.ts';
import {
  call,
  kinds,
  paths,
  rpcMethods,
  unending,
  unusedEcho,
  waiting,
} from '../../test/support/kinds.ts';
import { connectRaw } from '../../test/support/raw_client.ts';
import { dialChannel } from '../../test/support/tls.ts';
import { RetryInfo } from '../gen/google/rpc/error_details.ts';
import { Status as RichStatus } from '../gen/google/rpc/status.ts';
import { EchoDefinition } from '../../test/echo/gen/echo.ts';
import {
  HealthCheckResponse_ServingStatus,
  HealthDefinition,
} from '../gen/grpc/health/v1/health.ts';
import {
  type ServerReflectionRequest,
  ServerReflectionDefinition,
} from '../gen/grpc/reflection/v1/reflection.ts';
import { createHealth } from '../services/health.ts';
import { withChain } from '../transport/server.ts';
import { createEngine } from '../../test/support/engine.ts';

const refused = {
  code: Status.RESOURCE_EXHAUSTED,
  details: 'Cannot accept more calls: at most 1 at once',
};

/** Opens a call on its own connection while `beside` are open; returns the function that ends it. */
async function occupy({ address, openCalls }: Running, beside = 0): Promise<() => Promise<void>> {
  const channel = dialChannel(address);
  const requests = feed<{ text: string }>();
  const ended = createClient(EchoDefinition, channel).clientStream(requests);
  await until(() => openCalls.inChain === beside + 1);
  return async () => {
    requests.end();
    await ended;
    await until(() => openCalls.inChain === beside);
    channel.close();
  };
}

for (const kind of kinds) {
  test(`limit() refuses a ${kind} call when too many are open on other connections, until one ends`, async () => {
    await using running = await serve({ maxInFlight: 1 });
    const leave = await occupy(running);

    await assert.rejects(call(running.client, kind), refused);
    await running.log.line({
      'rpc.method': rpcMethods[kind],
      'rpc.status_code': 'RESOURCE_EXHAUSTED',
      level: 30,
    });
    await leave();

    assert.notEqual((await call(running.client, kind)).length, 0);
  });

  test(`limit() does not count a ${kind} call that was refused, failed or cancelled`, async () => {
    await using running = await serve({ maxInFlight: 1, echo: waiting() });
    for (let round = 0; round < 3; round++) {
      const cancel = new AbortController();
      const options = { signal: cancel.signal, requests: unending() };
      const left = assert.rejects(call(running.client, kind, options), { name: 'AbortError' });
      await until(() => running.openCalls.inChain === 1);
      await assert.rejects(call(running.client, kind), refused);
      cancel.abort();
      await left;
      await until(() => running.openCalls.inChain === 0);
    }
  });
}

test('limit() sends retry delays in the trailers, which differ', async () => {
  await using running = await serve({ maxInFlight: 1 });
  const leave = await occupy(running);

  const delays = new Set<string>();
  for (let i = 0; i < 10; i++) {
    let trailer = Metadata();
    const onTrailer = (got: Metadata) => void (trailer = got);
    await assert.rejects(running.client.unary({}, { onTrailer }), refused);
    const status = RichStatus.decode(trailer.get('grpc-status-details-bin') ?? assert.fail());
    const [{ typeUrl, value } = assert.fail()] = status.details;
    const { seconds = 0, nanos = 0 } = RetryInfo.decode(value).retryDelay ?? {};
    const pushback = trailer.get('grpc-retry-pushback-ms') ?? '';

    assert.deepEqual({ code: status.code, details: status.message }, refused);
    assert.equal(typeUrl, 'type.googleapis.com/google.rpc.RetryInfo');
    assert.equal(seconds * 1000 + nanos / 1e6, Number(pushback));
    delays.add(pushback);
  }

  assert.ok(delays.size > 1);
  assert.ok([...delays].every((delay) => Number(delay) >= 500 && Number(delay) <= 1500));
  await leave();
});

test('limit() neither refuses nor counts health and reflection', async () => {
  await using running = await serve({ maxInFlight: 1 });
  const health = createClient(HealthDefinition, running.channel);
  const reflection = createClient(ServerReflectionDefinition, running.channel);
  const watch = health.watch({ service: '' })[Symbol.asyncIterator]();
  await watch.next();
  const leave = await occupy(running, 1);

  const { status } = await health.check({});
  const { statuses } = await health.list({});
  const questions = feed<Partial<ServerReflectionRequest>>();
  questions.push({ listServices: '' });
  questions.end();
  const answers = await Array.fromAsync(reflection.serverReflectionInfo(questions));
  await assert.rejects(call(running.client, 'unary'), refused);
  await leave();
  await call(running.client, 'unary');

  assert.equal(status, HealthCheckResponse_ServingStatus.SERVING);
  assert.notEqual(Object.keys(statuses).length, 0);
  assert.equal(answers.length, 1);
});

const limits = { maxConcurrentStreams: 10, maxMessageSize: 1000 };

test('limit() counts the calls of its own server only', async () => {
  await using running = await serve({ maxInFlight: 1 });
  const engine = await createEngine('direct', limits, { exempt });
  const others = withChain(engine, {
    log: pino({ level: 'silent' }),
    counts: running.calls,
    deadlines: { max: 60_000, fallback: undefined },
    maxInFlight: 1,
  });
  others.add(HealthDefinition, createHealth({ healthState: running.state }));
  others.add(EchoDefinition, { ...unusedEcho, ...waiting() });
  const port = await others.listen({ host: '127.0.0.1', port: 0 });
  const channel = createChannel(`127.0.0.1:${port}`);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => others.shutdown());
  cleanup.defer(() => channel.close());
  cleanup.defer(() => others.calls.cut());
  const watch = createClient(HealthDefinition, channel).watch({})[Symbol.asyncIterator]();
  await watch.next();
  const replies = createClient(EchoDefinition, channel).serverStream({});
  const open = replies[Symbol.asyncIterator]();
  await open.next();

  const leave = await occupy(running);

  await assert.rejects(call(running.client, 'unary'), refused);
  await assert.rejects(createClient(EchoDefinition, channel).unary({}), refused);
  await leave();
});

test('limit() does not count a call that is reset before its handler runs', async () => {
  await using running = await serve({
    engine: 'direct',
    maxInFlight: 2,
    limits: { maxInFlight: 2 },
  });
  const [holder, other] = [await connectRaw(running.address), await connectRaw(running.address)];
  const held = [1, 2].map(() => holder.open(paths.bidi, {}, { endStream: false }).resume());
  await until(() => running.openCalls.inChain === 2);

  const stream = other.open(paths.unary, {}, { endStream: false });
  await other.roundTrip();
  stream.close(constants.NGHTTP2_CANCEL);
  await other.roundTrip();
  await holder.roundTrip();

  assert.deepEqual(
    [running.openCalls.inChain, held.map(({ closed }) => closed)],
    [2, [false, false]],
  );
  for (const client of [holder, other]) client.close();
});
