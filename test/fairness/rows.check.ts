import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { goFirst } from './helper.ts';
import { best, measure } from './rig.ts';
import { rows } from './rows.ts';
import { addRow, createRowTable, lineOf } from './table.ts';

/** Other load on the machine may slow down one round, but hardly every one. */
const maxRounds = 3;
/** CI has a few minutes for all rows; nothing is judged after the attack. */
const pace = { quietMs: 500, afterMs: 0 };
const rateMs = 1200;

goFirst();
const table = createRowTable();
after(() => console.log(`ms without / with the attack\n${table.lines().join('\n')}`));

for (const row of rows) {
  const { name, what } = row;
  test(`an honest client's calls are not delayed by another peer: ${what}`, async (t) => {
    const rate = row.isCounted ? {} : { rateMs };
    const played = await measure(row, { rounds: maxRounds, untilGreen: true, ...pace, ...rate });

    const fine = played.find(({ failures }) => failures.length === 0);
    const round = fine ?? best(played) ?? assert.fail('was not played');
    addRow(table, row, round);
    t.diagnostic(`${name}: ${lineOf(round)}`);
    assert.deepEqual(
      round.failures.map((failure) => failure.what),
      [],
    );
  });
}
