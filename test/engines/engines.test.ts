import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Behaviour, behaviours } from './behaviours.ts';
import { type Outcome, play } from './play.ts';

const file = join(import.meta.dirname, '../../docs/engines.md');

for (const behaviour of behaviours) {
  test(`direct: ${behaviour.name} ends with ${behaviour.status || 'no status'}, logged once`, async () => {
    const { status, logged, handled } = behaviour;
    assert.deepEqual(await play('direct', behaviour), { status, logged, handled });
  });
}

test('docs/engines.md has every difference between the engines', async () => {
  const rows = [];
  for (const behaviour of behaviours) {
    const outcome = await play('grpc-js', behaviour);
    const cells = [behaviour.name, tell(behaviour), tell(outcome)];
    if (cells[1] !== cells[2]) rows.push(`| ${cells.join(' | ')} |`);
  }
  const before = readFileSync(file, 'utf8');
  const after = before.replace(/(?<=\| - \| - \| - \|\n)(?:\|.*\n)*/, `${rows.join('\n')}\n`);

  // Written to be reviewed and committed.
  if (after !== before) writeFileSync(file, after);
  assert.equal(after, before);
});

function tell({ status, logged, handled }: Outcome | Behaviour): string {
  const seen = logged.length === 0 ? 'no log line' : `logged ${logged.join(', ')}`;
  return `${status || 'reset'}; ${seen}${handled > 0 ? '; handler runs' : ''}`;
}
