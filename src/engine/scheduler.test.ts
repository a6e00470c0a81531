import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { connectionAccepted, type Flow, inTurn, Scheduler } from './scheduler.ts';

const size = 100;

/** Work in pieces, such as frames: it continues until the quota is used up. */
function worker(flow: Flow, { pieces, work = size }: { pieces: number; work?: number }) {
  const self = { done: 0, goOn };
  return self;

  function goOn(): void {
    while (self.done < pieces && !flow.isSpent) {
      flow.spend(work);
      self.done++;
    }
    if (self.done < pieces) flow.wait(goOn);
  }
}

test('a flow does a small amount of work at once', () => {
  const small = worker(new Scheduler().createFlow(), { pieces: 10 });

  small.goOn();

  assert.equal(small.done, 10);
});

test('a flow with much work gets a quota in each turn, and finishes', async () => {
  const large = worker(new Scheduler().createFlow(), { pieces: 2000 });

  large.goOn();
  const seen = [large.done];
  while (large.done < 2000) {
    assert.ok(seen.length < 100, `${large.done} done in ${seen.length} turns`);
    await immediate();
    seen.push(large.done);
  }

  const parts = seen.map((done, at) => done - (seen[at - 1] ?? 0));
  assert.ok(Math.max(...parts) <= 200, `parts of ${parts.join(', ')}`);
});

test('a new flow works at once while many are queued, and those continue evenly', async () => {
  const scheduler = new Scheduler();
  const workers = Array.from({ length: 50 }, () =>
    worker(scheduler.createFlow(), { pieces: 1000 }),
  );
  for (const each of workers) each.goOn();
  await immediate();

  const late = worker(scheduler.createFlow(), { pieces: 10 });
  late.goOn();
  assert.equal(late.done, 10);

  for (let turns = 0; turns < 100; turns++) await immediate();
  const done = workers.map((each) => each.done);
  assert.ok(Math.min(...done) > 0);
  assert.ok(Math.max(...done) - Math.min(...done) <= 80, `done: ${done.join(', ')}`);
});

test('a turn does a limited amount of work, however many flows have some', async () => {
  const scheduler = new Scheduler();
  const workers = Array.from({ length: 1000 }, () =>
    worker(scheduler.createFlow(), { pieces: 100 }),
  );
  const done = () => workers.reduce((sum, each) => sum + each.done, 0);

  let before = 0;
  let most = 0;
  for (const each of workers) each.goOn();
  for (let turns = 0; done() < 100_000; turns++) {
    assert.ok(turns < 5000, `${done()} pieces in ${turns} turns`);
    most = Math.max(most, done() - before);
    before = done();
    await immediate();
  }

  assert.ok(most * size <= 2 * 16_000 + size, `${most} pieces in a turn`);
});

test('connectionAccepted() makes the next turn short, and many in a row shorter still, because each turn accepts one connection', async () => {
  const scheduler = new Scheduler();
  const workers = Array.from({ length: 50 }, () =>
    worker(scheduler.createFlow(), { pieces: 10_000 }),
  );
  const done = () => workers.reduce((sum, each) => sum + each.done, 0);
  for (const each of workers) each.goOn();
  const parts = async (accepted: (turn: number) => boolean) => {
    const seen: number[] = [];
    for (let turn = 0; turn < 20; turn++) {
      const before = done();
      if (accepted(turn)) connectionAccepted();
      await immediate();
      seen.push(done() - before);
    }
    return seen;
  };

  const short = await parts(() => true);
  const long = await parts(() => false);

  assert.ok(Math.max(...short.slice(1)) * size <= 2000 + size, `parts of ${short.join(', ')}`);
  assert.ok(Math.min(...short) > 0);
  assert.ok(Math.max(...short.slice(17)) * size <= 500 + size, `parts of ${short.join(', ')}`);
  assert.ok(Math.min(...long.slice(1)) * size >= 10_000, `parts of ${long.join(', ')}`);
});

test('a flow that exceeds its quota waits as long as flows that do not', async () => {
  const scheduler = new Scheduler();
  const dear = worker(scheduler.createFlow(), { pieces: 100, work: 100 * size });
  const cheap = worker(scheduler.createFlow(), { pieces: 10_000 });
  dear.goOn();
  cheap.goOn();

  for (let turns = 0; turns < 50; turns++) await immediate();

  const ratio = (dear.done * 100) / cheap.done;
  assert.ok(ratio > 0.7 && ratio < 1.5, `${dear.done} and ${cheap.done}`);
});

test('inTurn() works at once within the quota, and otherwise once per turn', async () => {
  const scheduler = new Scheduler();
  const flow = scheduler.createFlow();
  const work = () => {
    flow.spend(1_000_000);
    return scheduler.turn;
  };
  const first = inTurn(flow, work);
  assert.equal(first, scheduler.turn);

  const second = inTurn(flow, work);
  const third = inTurn(flow, work);

  assert.notEqual(await second, await third);
});

test('inTurn() rejects with the error that its work throws', async () => {
  const flow = new Scheduler().createFlow();
  flow.spend(1_000_000);

  const failing = inTurn(flow, () => {
    throw new Error('no');
  });

  await assert.rejects(Promise.resolve(failing), /no/);
});

test('isTurnFull is true for every flow after much work, and false in the next turn', async () => {
  const scheduler = new Scheduler();
  const [one, other] = [scheduler.createFlow(), scheduler.createFlow()];
  one.spend(31_999);
  assert.equal(other.isTurnFull, false);

  one.spend(1);

  assert.equal(other.isTurnFull, true);
  assert.equal(other.isTurnOverfull, false);
  one.spend(100_000);
  assert.equal(other.isTurnOverfull, true);
  await immediate();
  assert.equal(other.isTurnFull, false);
});
