import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PausedConnections } from './paused_connections.ts';

function create() {
  const later: (() => void)[] = [];
  const paused = new PausedConnections((task) => void later.push(task));
  const runTurn = () => {
    for (const task of later.splice(0)) task();
  };
  return { paused, runTurn };
}

test('a few connections are resumed in each turn, longest paused first', () => {
  const { paused, runTurn } = create();
  const resumed: number[] = [];
  for (let index = 0; index < 100; index++) {
    paused.add({ mayGrow: true }, () => resumed.push(index));
  }

  paused.resume();
  paused.resume();
  const first = resumed.length;
  for (let turn = 0; turn < 10; turn++) runTurn();

  assert.ok(first < 50, `${first} in the first turn`);
  assert.deepEqual(resumed, [...Array(100).keys()]);
  assert.equal(paused.size, 0);
});

test('a connection above its share stays paused', () => {
  const { paused, runTurn } = create();
  const resumed: string[] = [];
  const above = { mayGrow: false };
  paused.add(above, () => resumed.push('above its share'));
  paused.add({ mayGrow: true }, () => resumed.push('within its share'));

  paused.resume();
  runTurn();
  const before = [...resumed];
  above.mayGrow = true;
  paused.resume();

  assert.deepEqual(before, ['within its share']);
  assert.deepEqual(resumed, ['within its share', 'above its share']);
});
