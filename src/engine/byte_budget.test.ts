import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBudget } from './byte_budget.ts';

test('a budget calls everybody back once when what is held is within its limit again', () => {
  const budget = new ByteBudget(100);
  const called: string[] = [];
  const left = () => void called.push('left');
  budget.add(150);
  budget.wait(() => void called.push('first'));
  budget.wait(() => void called.push('second'));
  budget.wait(left);
  budget.leave(left);

  const before = [budget.excess, called.length];
  budget.add(-40);
  before.push(budget.excess, called.length);
  budget.add(-10);
  budget.add(50);
  budget.add(-50);

  assert.deepEqual(before, [50, 0, 10, 0]);
  assert.deepEqual(called, ['first', 'second']);
  assert.equal(budget.used, 100);
});

/** So many spares of ten bytes each in a budget; gives those that have been dropped, by their numbers. */
function offerSpares(budget: ByteBudget, idle: readonly boolean[]): number[] {
  const dropped: number[] = [];
  for (const [number, isIdle] of idle.entries()) {
    budget.add(10);
    budget.offer({
      isIdle,
      drop() {
        dropped.push(number);
        budget.add(-10);
      },
    });
  }
  return dropped;
}

test('a budget that is exceeded drops spares that are idle, and no more than it needs', () => {
  const budget = new ByteBudget(160);
  const dropped = offerSpares(budget, [false, true, false, true, true, true]);

  budget.add(100);
  const before = [...dropped];
  budget.add(5);

  assert.deepEqual(before, []);
  assert.deepEqual(dropped, [1, 3]);
  assert.equal(budget.excess, 0);
});

test('a budget drops spares that are in use where the idle ones are not enough, each once', () => {
  const budget = new ByteBudget(160);
  const dropped = offerSpares(budget, [false, true, false]);

  budget.add(150);
  budget.add(1000);
  budget.add(1000);

  assert.deepEqual(dropped, [1, 0, 2]);
});

test('a budget does not drop a spare that was taken back', () => {
  const budget = new ByteBudget(100);
  const spare = { isIdle: true, drop: () => assert.fail('it was dropped') };
  budget.offer(spare);
  budget.withdraw(spare);

  budget.add(200);

  assert.equal(budget.used, 200);
});
