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
