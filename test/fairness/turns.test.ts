import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Work } from '../simulation/turns.ts';
import { Hostile } from './hostile.ts';
import { serveMetered } from './metered.ts';
import { rows } from './rows.ts';

/**
 * What may be done in a turn, in units of scheduler.ts: by one connection that comes, by one that has waited, where
 * no other one does, and by all together. A turn of that is some 10 ms.
 */
const quota = { fresh: 4000, waited: 16_000, all: 32_000 };
/**
 * What goes on when its part is done: calls that have begun, to their end, and what copies a message in and out.
 * Twice as much of all together, and one step of one connection: who comes to a large one after that waits.
 */
const mostLate = 64_000;
/**
 * A message is decoded in one go. The largest is 4 MiB, and may become twice that in memory, a unit for each 64
 * bytes; with it goes what it takes to copy it in and out.
 */
const largestStep = 180_000;
/** How long a rate is kept up: what is done in a turn does not depend on it. */
const rateMs = 300;

for (const row of rows) {
  test(`a turn does no more than its quota: ${row.what}`, async (t) => {
    await using server = await serveMetered();
    const broken = new Set<string>();
    let most = 0;
    let turns = 0;
    server.scheduler.onTurn = (works) => {
      turns++;
      most = Math.max(most, sum(works));
      for (const rule of rulesBrokenBy(works)) broken.add(rule);
    };
    const hostile = new Hostile(server.port, rateMs);

    await row.attack(hostile);
    const { bytesSent } = await hostile.leave();
    server.scheduler.endTurn();

    t.diagnostic(`${row.name}: ${bytesSent} bytes, ${turns} turns, ${most} units in one at most`);
    assert.deepEqual([...broken], []);
    assert.ok(turns > 0);
  });
}

function* rulesBrokenBy(works: readonly Work[]): Generator<string> {
  for (const { done, late, largest, hasWaited } of works) {
    const part = hasWaited ? quota.waited : quota.fresh;
    const inTime = done - late;
    if (inTime > part + largest) yield `a connection has done ${inTime}, not ${part + largest}`;
    if (largest > largestStep) yield `a connection has done ${largest} in one go`;
  }
  const step = Math.max(...works.map(({ largest }) => largest));
  const all = sum(works);
  const most = quota.all + mostLate + step;
  if (all > most) yield `all connections have done ${all}, not ${most}`;
}

function sum(works: readonly Work[]): number {
  return works.reduce((total, { done }) => total + done, 0);
}
