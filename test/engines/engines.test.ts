import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Behaviour, behaviours } from './behaviours.ts';
import { type Outcome, play } from './play.ts';

const file = join(import.meta.dirname, '../../docs/engines.md');

for (const behaviour of behaviours) {
  test(`direct: ${behaviour.name} (${behaviour.kind}) ends with ${behaviour.status || 'no status'}, logged once`, async () => {
    const { status, logged, handled } = behaviour;
    assert.deepEqual(await play('direct', behaviour), { status, logged, handled });
  });
}

test('docs/engines.md has every difference between the engines', async () => {
  const differences = [];
  for (const behaviour of behaviours) {
    const { name, kind } = behaviour;
    const [direct, grpcJs] = [tell(behaviour), tell(await play('grpc-js', behaviour))];
    if (direct !== grpcJs) differences.push({ kind, name, cells: `${direct} | ${grpcJs}` });
  }
  const alike = Map.groupBy(differences, ({ name, cells }) => `${name} | ${cells}`);
  const rows = alike.values().map((those) => {
    const [name, cells] = [those[0]?.name, those[0]?.cells];
    return `| ${name} | ${those.map(({ kind }) => kind).join(', ')} | ${cells} |`;
  });
  const before = readFileSync(file, 'utf8');
  const after = before.replace(
    /(?<=\| - \| - \| - \| - \|\n)(?:\|.*\n)*/,
    `${[...rows].join('\n')}\n`,
  );

  // Written to be reviewed and committed.
  if (after !== before) writeFileSync(file, after);
  assert.equal(after, before);
});

/** The cell of an outcome; a log line with the caller's status is not worth a word. */
function tell({ status, logged, handled }: Outcome | Behaviour): string {
  const words = [status || 'reset'];
  if (logged.length === 0) words.push('no log line');
  else if (logged.join(', ') !== status) words.push(`logged ${logged.join(', ')}`);
  if (handled > 0) words.push('handler runs');
  return words.join('; ');
}
