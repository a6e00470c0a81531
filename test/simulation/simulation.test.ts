import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { array, asyncProperty, check, constantFrom, record } from 'fast-check';
import { messageOf } from '../../src/message_of.ts';
import { move } from './moves.ts';
import { type Outcome, play } from './play.ts';

/** `FUZZ_SEED=… FUZZ_PATH=… FUZZ_SESSIONS=1` repeats a failure, as it was shrunk. */
const seed = Number(process.env['FUZZ_SEED'] ?? Math.trunc(Date.now() / 1000));
const path = process.env['FUZZ_PATH'];
const sessions = Number(process.env['FUZZ_SESSIONS'] ?? 200);

mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
const tick = (ms: number) => mock.timers.tick(ms);

const cast = record({
  budget: constantFrom(1_000_000, 4_000_000, 2 ** 26),
  hostile: constantFrom(1, 2, 2, 5, 12),
});
const moves = array(move, { maxLength: 40, size: 'max' });

test('an honest client among hostile ones is served, and the invariants of the server hold', async (t) => {
  const outcomes: Outcome[] = [];
  const property = asyncProperty(cast, moves, async (who, what) => {
    outcomes.push(await play(what, { ...who, tick }));
  });
  const parameters = path === undefined ? {} : { path };

  const result = await check(property, { seed, numRuns: sessions, ...parameters });

  if (result.failed) {
    const again = `FUZZ_SEED=${seed} FUZZ_PATH=${result.counterexamplePath} FUZZ_SESSIONS=1`;
    const found = JSON.stringify(result.counterexample, null, 1);
    assert.fail(`${messageOf(result.errorInstance)}\n${again}\n${found}`);
  }
  const sum = (of: (each: Outcome) => number) => outcomes.reduce((all, each) => all + of(each), 0);
  const finished = sum((each) => each.finished);
  const refused = sum((each) => each.refused);
  const turns = Math.max(...outcomes.map(({ maxTurns }) => maxTurns));
  t.diagnostic(
    `${finished} calls finished, ${refused} refused for lack of capacity, ${turns} turns at most`,
  );
  assert.ok(finished > refused);
});
