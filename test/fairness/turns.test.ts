import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flag } from '../../src/engine/http2/frames.ts';
import { cost } from '../../src/engine/scheduler.ts';
import { until } from '../support/harness.ts';
import { ids } from '../http2_attacks/greeting.ts';
import { paths } from '../support/kinds.ts';
import type { Work } from '../simulation/turns.ts';
import { calls, frameBytes, groups, MiB, nothing, partOf, times } from './bytes.ts';
import { Hostile, wideOpen } from './hostile.ts';
import { type Metered, serveMetered } from './metered.ts';
import { rows } from './rows.ts';

/** The maximum work per turn, in units of scheduler.ts. */
const quota = {
  /** Of a connection that was not queued. */
  fresh: 4000,
  /** Of a queued connection, if no other is queued. */
  waited: 16_000,
  /** Of all connections: about 10 ms. */
  all: 32_000,
};
/**
 * The maximum work above the quota, per turn, of calls that have begun and of copies of messages: twice the quota of
 * all connections. One large step may come on top; further ones are deferred.
 */
const maxLate = 64_000;
/**
 * The maximum work of one step. The most expensive step decodes a message of 4 MiB, which may take twice that in
 * memory, at 64 bytes per unit, and copies it.
 */
const largestStep = 180_000;
/** The duration of a rate; the work of a turn does not depend on it. */
const rateMs = 300;

for (const row of rows) {
  test(`a turn does no more than its quota: ${row.what}`, async (t) => {
    await using server = await serveMetered();
    const seen = watch(server);
    const hostile = new Hostile({ port: server.port, pid: process.pid, ms: rateMs });

    await row.attack(hostile);
    const { bytesSent } = await hostile.leave();
    server.scheduler.endTurn();

    const { turns, most, violations } = seen;
    t.diagnostic(`${row.name}: ${bytesSent} bytes, ${turns} turns, ${most} units in one at most`);
    assert.deepEqual([...violations], []);
    assert.ok(turns > 0);
  });
}

test('a turn does no more than its quota: 120 client streams of 3,000 messages that end at once', async (t) => {
  const [count, messages] = [60, 3000];
  await using server = await serveMetered();
  const { scheduler } = server;
  const peers = [server.connect(), server.connect()];
  const body = times(messages, nothing);
  for (const peer of peers) {
    peer.send(wideOpen);
    peer.send(calls({ path: paths.clientStream, count, body, ends: false }));
  }
  await until(() => scheduler.total > 2 * count * messages * cost.request);
  const seen = watch(server);

  const ends = ids(count).map((streamId) =>
    frameBytes('DATA', undefined, { streamId, flags: Flag.END_STREAM }),
  );
  for (const peer of peers) peer.send(Buffer.concat(ends));
  await until(() => peers.every(({ ended }) => ended >= count));
  scheduler.endTurn();

  t.diagnostic(`${seen.turns} turns, ${seen.most} units in one at most`);
  assert.deepEqual([...seen.violations], []);
});

test('a turn does no more than its quota for calls of an unknown method', async (t) => {
  const count = 1000;
  await using server = await serveMetered();
  const peer = server.connect();
  peer.send(wideOpen);
  const seen = watch(server);

  peer.send(calls({ path: '/no.Service/Method', count, body: nothing }));
  await until(() => peer.ended >= count);
  server.scheduler.endTurn();

  t.diagnostic(`${seen.turns} turns, ${seen.most} units in one at most`);
  const most = quota.fresh + quota.waited;
  assert.ok(seen.most <= most, `${seen.most} units, not ${most}`);
});

test('compressed requests that wait for a thread, and then find no memory, are refused a few per turn', async (t) => {
  const count = 800;
  await using server = await serveMetered();
  const { http2, scheduler } = server;
  const peer = server.connect();
  peer.send(wideOpen);
  const fields = { 'grpc-encoding': 'gzip' };
  peer.send(calls({ path: paths.unary, count, body: groups(), fields }));
  await until(() => scheduler.total > count * cost.coding);

  // Each reserves 3 MiB, so that less is left than an inflated message may take.
  for (let i = 0; i < 20; i++) {
    const holder = server.connect();
    holder.send(wideOpen);
    holder.send(calls({ path: paths.unary, count: 1, body: partOf(100_000), ends: false }));
  }
  await until(() => http2.bufferedBytes > 60 * MiB);
  const seen = watch(server);
  await until(() => peer.ended >= count);
  scheduler.endTurn();

  t.diagnostic(`${seen.turns} turns, ${seen.most} units in one at most`);
  assert.deepEqual([...seen.violations], []);
});

test('calls that lose their connection end a few per turn', async (t) => {
  const count = 1000;
  await using server = await serveMetered();
  const { scheduler, http2 } = server;
  const peer = server.connect();
  peer.send(wideOpen);
  peer.send(calls({ path: paths.bidi, count, ends: false }));
  await until(() => http2.openStreams === count);
  const seen = watch(server);
  const before = scheduler.total;

  peer.leave();
  await until(() => http2.openConnections === 0);
  const left = http2.openStreams;
  await until(() => http2.openStreams === 0);
  scheduler.endTurn();

  t.diagnostic(`${seen.turns} turns, ${seen.most} units in one at most`);
  assert.deepEqual([...seen.violations], []);
  assert.ok(left > 0, 'they count until they have ended');
  assert.ok(scheduler.total - before >= count * cost.failure, 'each counts as one that fails');
  assert.ok(seen.turns >= (count * cost.failure) / quota.waited, `${seen.turns} turns`);
});

test('shutdown() waits for calls that have lost their connection', async () => {
  const count = 1000;
  await using server = await serveMetered();
  const { http2 } = server;
  const peer = server.connect();
  peer.send(wideOpen);
  peer.send(calls({ path: paths.bidi, count, ends: false }));
  await until(() => http2.openStreams === count);

  peer.leave();
  await until(() => http2.openConnections === 0);
  const left = http2.openStreams;
  await http2.shutdown();

  assert.ok(left > 0, 'they have ended before');
  assert.equal(http2.openStreams, 0);
});

/** Records the turns of a server from now on. */
function watch({ scheduler }: Metered) {
  const seen = { violations: new Set<string>(), most: 0, turns: 0 };
  scheduler.onTurn = (works) => {
    seen.turns++;
    seen.most = Math.max(seen.most, sum(works));
    for (const each of violationsIn(works)) seen.violations.add(each);
  };
  return seen;
}

function* violationsIn(works: readonly Work[]): Generator<string> {
  for (const { done, late, largest, hasWaited } of works) {
    const most = (hasWaited ? quota.waited : quota.fresh) + largest;
    const inTime = done - late;
    if (inTime > most) yield `a connection has done ${inTime}, not ${most}`;
    if (largest > largestStep) yield `a connection has done ${largest} in one go`;
  }
  const step = Math.max(...works.map(({ largest }) => largest));
  const all = sum(works);
  const most = quota.all + maxLate + step;
  if (all > most) yield `all connections have done ${all}, not ${most}`;
}

function sum(works: readonly Work[]): number {
  return works.reduce((total, { done }) => total + done, 0);
}
