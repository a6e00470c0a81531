import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Channel, createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { serve, until, serviceNames } from '../../test/support/harness.ts';
import { connectRaw, frame, unframe } from '../../test/support/raw_client.ts';
import { dialChannel } from '../../test/support/tls.ts';
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthDefinition,
} from '../gen/grpc/health/v1/health.ts';

const { UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN } = ServingStatus;
const names = ['', 'liveness', 'readiness', ...serviceNames];

test('check() returns SERVING for every known name, and NOT_FOUND for an unknown one', async () => {
  await using running = await serve();
  const client = createClient(HealthDefinition, running.channel);

  for (const service of names)
    assert.deepEqual(await client.check({ service }), { status: SERVING });

  await assert.rejects(client.check({ service: 'nope' }), {
    code: Status.NOT_FOUND,
    details: 'Cannot find service "nope"',
  });
});

test('check() truncates a very long name in its error', async () => {
  await using running = await serve();
  const client = createClient(HealthDefinition, running.channel);

  const check = client.check({ service: `${'x'.repeat(99)}😀${'x'.repeat(1_000_000)}` });

  await assert.rejects(check, {
    code: Status.NOT_FOUND,
    details: `Cannot find service "${'x'.repeat(99)}\ufffd"...`,
  });
});

test('check() returns NOT_SERVING for all but liveness during shutdown', async () => {
  await using running = await serve();
  const client = createClient(HealthDefinition, running.channel);

  running.state.shuttingDown();
  const { statuses } = await client.list({});

  assert.deepEqual(Object.keys(statuses).toSorted(), names.toSorted());
  const serving = Object.entries(statuses).filter(([, { status }]) => status === SERVING);
  assert.deepEqual(serving, [['liveness', { status: SERVING }]]);
});

test('check() returns NOT_SERVING during shutdown, whatever a service reports', async () => {
  await using running = await serve();
  const client = createClient(HealthDefinition, running.channel);

  running.state.shuttingDown();
  running.state.set('readiness', SERVING);

  assert.deepEqual(await client.check({ service: 'readiness' }), { status: NOT_SERVING });
});

test('list() returns up to 100 names, and RESOURCE_EXHAUSTED above', async () => {
  await using running = await serve();
  const client = createClient(HealthDefinition, running.channel);

  for (let i = names.length; i < 100; i++) running.state.set(`service ${i}`, SERVING);
  const { statuses } = await client.list({});
  running.state.set('one more', SERVING);

  assert.equal(Object.keys(statuses).length, 100);
  await assert.rejects(client.list({}), { code: Status.RESOURCE_EXHAUSTED });
});

test('watch() sends the current status at once, then each change', async () => {
  await using running = await serve();
  const client = createClient(HealthDefinition, running.channel);
  const watch = client.watch({ service: 'grpc.health.v1.Health' })[Symbol.asyncIterator]();

  const states = [(await watch.next()).value?.status];
  running.state.shuttingDown();
  states.push((await watch.next()).value?.status);
  running.state.serving();
  states.push((await watch.next()).value?.status);

  assert.deepEqual(states, [SERVING, NOT_SERVING, SERVING]);
});

test('watch() of an unknown name sends SERVICE_UNKNOWN, and continues until it is known', async () => {
  await using running = await serve();
  const client = createClient(HealthDefinition, running.channel);
  const watch = client.watch({ service: 'later' })[Symbol.asyncIterator]();

  const unknown = await watch.next();
  running.state.set('later', SERVING);
  const known = await watch.next();

  assert.deepEqual([unknown.value?.status, known.value?.status], [SERVICE_UNKNOWN, SERVING]);
});

test('watch() refuses a name of more than 1000 characters', async () => {
  await using running = await serve();
  const client = createClient(HealthDefinition, running.channel);
  const watch = client.watch({ service: 'x'.repeat(1001) })[Symbol.asyncIterator]();

  await assert.rejects(watch.next(), {
    code: Status.INVALID_ARGUMENT,
    details: 'Cannot accept "service": at most 1000 characters',
  });
});

test('watch() serves 300 watchers on one connection, and each gets a change', async () => {
  await using running = await serve();
  const client = createClient(HealthDefinition, running.channel);
  const watches = Array.from({ length: 300 }, () =>
    client.watch({ service: '' })[Symbol.asyncIterator](),
  );
  const heard = async () =>
    new Set(
      (await Promise.all(watches.map((watch) => watch.next()))).map(({ value }) => value?.status),
    );

  const atFirst = await heard();
  running.state.shuttingDown();
  const later = await heard();

  assert.deepEqual([[...atFirst], [...later]], [[SERVING], [NOT_SERVING]]);
});

test('watch() sends 1,000 watchers, slow readers included, the last of 100 changes', async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  await using running = await serve();
  const channels = Array.from({ length: 9 }, () =>
    // Channels with equal options share subchannels otherwise.
    dialChannel(running.address, { 'grpc.use_local_subchannel_pool': 1 }),
  );
  const last = new Map<number, ServingStatus | undefined>();
  const cancel = new AbortController();
  const follow = async (channel: Channel, id: number) => {
    const client = createClient(HealthDefinition, channel);
    const watch = client.watch({ service: '' }, { signal: cancel.signal });
    for await (const { status } of watch) last.set(id, status);
  };
  const watchers = channels.flatMap((channel, c) =>
    Array.from({ length: 100 }, (_, i) => follow(channel, 100 * c + i).catch(() => {})),
  );
  const slow = await slowWatchers(running.address, 100);
  await until(() => last.size === 900 && running.openCalls.inChain === 1000);

  for (let flip = 1; flip < 100; flip++) {
    running.state.set('', flip % 2 === 1 ? NOT_SERVING : SERVING);
    // The first changes fill a slow watcher's buffers; later ones come in bursts.
    if (flip < 20 || flip % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  running.state.set('', UNKNOWN);
  slow.read();
  await until(() => [...last.values()].every((status) => status === UNKNOWN));
  await until(() => slow.last().every((status) => status === UNKNOWN));

  cancel.abort();
  await Promise.all(watchers);
  slow.close();
  for (const channel of channels) channel.close();
  await until(() => running.openCalls.inChain === 0);
  assert.deepEqual(warnings, []);
});

/** Watchers on one connection with a window of 0 bytes, which receive nothing before read() is called. */
async function slowWatchers(address: string, count: number) {
  const client = await connectRaw(address, { initialWindowSize: 0 });
  const request = frame(HealthCheckRequest.encode({ service: '' }).finish());
  const received = Array.from({ length: count }, () => {
    const chunks: Buffer[] = [];
    const stream = client.open('/grpc.health.v1.Health/Watch');
    stream.on('data', (chunk: Buffer) => void chunks.push(chunk)).end(request);
    return chunks;
  });
  return {
    read: () => client.settings({ initialWindowSize: 65_535 }),
    last: () => received.map((chunks) => lastStatus(unframe(Buffer.concat(chunks)))),
    close: () => client.close(),
  };
}

function lastStatus(messages: Buffer[]): ServingStatus | undefined {
  const last = messages.at(-1);
  return last && HealthCheckResponse.decode(last).status;
}
