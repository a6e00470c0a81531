import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { feed, serve, until } from '../../../test/support/harness.ts';
import { call, kinds, rpcMethods, unending, waiting } from '../../../test/support/kinds.ts';
import { HealthDefinition } from '../../gen/grpc/health/v1/health.ts';
import { OpenCalls } from './open_calls.ts';

const leaving = { code: Status.UNAVAILABLE, details: 'Server is shutting down' };

test('OpenCalls.drain() ends an open Health.Watch, so that shutdown does not wait for it', async () => {
  await using running = await serve();
  const health = createClient(HealthDefinition, running.channel);
  const watch = health.watch({ service: '' })[Symbol.asyncIterator]();
  await watch.next();
  const open = [running.openCalls.size, running.openCalls.finite];
  const ended = assert.rejects(watch.next(), leaving);

  void running.openCalls.drain();

  assert.deepEqual(open, [1, 0]);
  await ended;
  await running.shutdown();
  await running.log.line({
    'rpc.method': 'grpc.health.v1.Health/Watch',
    'rpc.status_code': 'UNAVAILABLE',
    level: 20,
  });
});

test('OpenCalls.drain() ends a later Health.Watch at once', async () => {
  await using running = await serve();
  const health = createClient(HealthDefinition, running.channel);

  void running.openCalls.drain();
  const watch = Array.fromAsync(health.watch({ service: '' }));

  await assert.rejects(watch, leaving);
});

test('OpenCalls.drain() lets calls of every kind complete', async () => {
  const isDraining = Promise.withResolvers<void>();
  await using running = await serve({
    echo: {
      async *serverStream() {
        await isDraining.promise;
        for (const text of ['1', '2', '3']) yield { text };
      },
    },
  });
  const chats = [feed<{ text: string }>(), feed<{ text: string }>()] as const;
  for (const chat of chats) chat.push({ text: 'before' });
  const calls = [
    call(running.client, 'serverStream'),
    call(running.client, 'clientStream', { requests: chats[0] }),
    call(running.client, 'bidi', { requests: chats[1] }),
  ];
  await until(() => running.openCalls.inChain === 3);

  void running.openCalls.drain();
  const shutdown = running.shutdown();
  isDraining.resolve();
  for (const chat of chats) {
    chat.push({ text: 'after' });
    chat.end();
  }

  const [replies, summary, chat] = await Promise.all(calls);
  assert.equal(replies?.length, 3);
  assert.deepEqual(summary, [{ requests: [{ text: 'before' }, { text: 'after' }] }]);
  assert.deepEqual(chat, [{ text: 'before' }, { text: 'after' }]);
  await shutdown;
});

for (const kind of kinds) {
  test(`OpenCalls.cut() ends an open ${kind} call with UNAVAILABLE`, async () => {
    await using running = await serve({ echo: waiting() });
    const cut = assert.rejects(call(running.client, kind, { requests: unending() }), leaving);
    await until(() => running.openCalls.inChain === 1);

    void running.openCalls.cut();

    await cut;
    await running.log.line({
      'rpc.method': rpcMethods[kind],
      'rpc.status_code': 'UNAVAILABLE',
      level: 30,
    });
    assert.equal(running.openCalls.inChain, 0);
  });

  test(`OpenCalls.cut() ends a new ${kind} call with UNAVAILABLE`, async () => {
    await using running = await serve();

    void running.openCalls.cut();

    await assert.rejects(call(running.client, kind), leaving);
  });
}

test('OpenCalls.cut() ends thousands of calls in several turns, and resolves after the last', async () => {
  const calls = new OpenCalls();
  let ended = 0;
  for (let index = 0; index < 1000; index++) {
    calls.add({
      isUnlimited: false,
      entry: 0,
      isEndless: false,
      slot: -1,
      end: () => void ended++,
    });
  }

  const cut = calls.cut();
  const inFirstTurn = ended;
  await cut;

  assert.ok(inFirstTurn > 0 && inFirstTurn <= 100, `${inFirstTurn} in the first turn`);
  assert.equal(ended, 1000);
});
