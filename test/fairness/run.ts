// `node test/fairness/run.ts [row…]`: what other clients feel while one peer attacks the built file, for the rows
// of these names, or all. FAIRNESS_ROUNDS says how often each is played (3); the best one is told.
import { goFirst } from './helper.ts';
import { best, measure } from './rig.ts';
import { rows } from './rows.ts';
import { addRow, createRowTable, lineOf } from './table.ts';

const rounds = Number(process.env['FAIRNESS_ROUNDS'] ?? 3);
const names = process.argv.slice(2);
const chosen = rows.filter(({ name }) => names.length === 0 || names.includes(name));
const strays = names.filter((name) => !rows.some((row) => row.name === name));
if (strays.length > 0) {
  const known = rows.map(({ name }) => name).join(' ');
  throw new Error(`Cannot play "${strays.join('", "')}": there are ${known}`);
}

goFirst();
const table = createRowTable();
for (const row of chosen) {
  console.log(`${row.name}: ${row.what}`);
  const played = await measure(row, { rounds });
  for (const round of played) console.log(`  ${lineOf(round)}`);
  const told = best(played);
  if (told) addRow(table, row, told);
}
console.log(`\nms without / with the attack\n${table.lines().join('\n')}`);
