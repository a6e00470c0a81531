import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { serve, serviceNames } from '../../test/support/harness.ts';
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthDefinition,
} from '../gen/grpc/health/v1/health.ts';

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = ServingStatus;
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
