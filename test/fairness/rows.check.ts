import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { goFirst } from './helper.ts';
import { best, measure } from './rig.ts';
import { rows } from './rows.ts';
import { addRow, createRowTable, lineOf } from './table.ts';

/** What else runs on the machine may make one round slow, and hardly every one. */
const mostRounds = 3;

goFirst();
const table = createRowTable();
after(() => console.log(`ms without / with the attack\n${table.lines().join('\n')}`));

for (const row of rows) {
  const { name, what, isKnown = false } = row;
  test(`an honest client's calls wait for no other peer: ${what}`, async (t) => {
    // Of a row that is known to be red one round tells whether it still is.
    const played = await measure(row, { rounds: isKnown ? 1 : mostRounds, untilGreen: true });

    const round = best(played) ?? assert.fail('was not played');
    addRow(table, row, round);
    t.diagnostic(`${name}: ${lineOf(round)}`);
    if (isKnown && round.wrong.length === 0) t.diagnostic(`${name} holds, and is known to be red`);
    if (!isKnown) assert.deepEqual(round.wrong, []);
  });
}
