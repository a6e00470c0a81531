import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type Deadline, Deadlines } from './open_calls.ts';

/** Deadlines on a clock that the test controls. */
function onClock(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  const deadlines = new Deadlines(() => now);
  const passed: number[] = [];
  return {
    passed,
    deadlines,
    add: (at: number): Deadline => {
      const deadline = { at, place: -1, passed: () => void passed.push(at) };
      deadlines.add(deadline);
      return deadline;
    },
    to: (time: number) => {
      const ms = time - now;
      now = time;
      t.mock.timers.tick(ms);
    },
  };
}

test('Deadlines fires deadlines in order, in time, each once', (t) => {
  const { add, passed, to } = onClock(t);
  const times = Array.from({ length: 200 }, (_, i) => 1 + ((i * 7919) % 1000));
  times.forEach(add);

  for (let time = 0; time <= 1000; time += 10) {
    to(time);
    assert.ok(passed.every((at) => at <= time));
    assert.equal(passed.length, times.filter((at) => at <= time).length, `at ${time}`);
  }
  assert.deepEqual(
    passed,
    times.toSorted((a, b) => a - b),
  );
});

test('delete() prevents a deadline, wherever it is in the heap', (t) => {
  const { add, deadlines, passed, to } = onClock(t);
  const all = Array.from({ length: 100 }, (_, i) => add(1 + ((i * 37) % 100)));
  const taken = all.filter((_, i) => i % 3 === 0);
  for (const deadline of taken) deadlines.delete(deadline);
  for (const deadline of taken) deadlines.delete(deadline);

  to(1000);

  const left = all.filter((deadline) => !taken.includes(deadline)).map(({ at }) => at);
  assert.deepEqual(
    passed,
    left.toSorted((a, b) => a - b),
  );
});

test('add() accepts deadlines earlier than others, and beyond the range of a timer', (t) => {
  const { add, passed, to } = onClock(t);
  add(2 ** 40);
  add(5000);
  add(1);

  to(1);
  assert.deepEqual(passed, [1]);
  to(5000);
  assert.deepEqual(passed, [1, 5000]);
  to(5000 + 2 ** 31);
  assert.deepEqual(passed, [1, 5000]);
});

test('Deadlines lets a callback add and delete others', (t) => {
  const { add, deadlines, passed, to } = onClock(t);
  const other = add(20);
  deadlines.add({
    at: 10,
    place: -1,
    passed() {
      deadlines.delete(other);
      add(15);
    },
  });

  to(10);
  to(30);

  assert.deepEqual(passed, [15]);
});
