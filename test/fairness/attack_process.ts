// A hostile client in its own process: it attacks a port according to a row, and disconnects.
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
