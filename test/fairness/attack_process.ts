// A client that means no good, in a process of its own: it attacks a port as a row has it, and goes away.
import { Hostile } from './hostile.ts';
import type { AttackOrder } from './rig.ts';
import { rows } from './rows.ts';

process.on('message', (order: AttackOrder) => void attack(order));
process.on('disconnect', () => process.exit());

async function attack({ row, ...server }: AttackOrder) {
  const hostile = new Hostile(server);
  const found = rows.find(({ name }) => name === row);
  if (!found) throw new Error(`Cannot attack so: no row is named "${row}"`);
  await found.attack(hostile);
  process.send?.(await hostile.leave());
}
