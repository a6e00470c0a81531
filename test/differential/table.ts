import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasons } from './reasons.ts';

/** A case that we answer otherwise than one of the others. */
export interface Difference {
  name: string;
  ours: string;
  node: string;
  go: string;
  /** Why, by its name in reasons.ts. */
  reason: string;
}

const list = join(import.meta.dirname, 'differences.tsv');
const page = join(import.meta.dirname, '../../docs/http2.md');

/** The differences that are known, by their cases. */
export function readDifferences(): Map<string, Difference> {
  const [, ...lines] = readFileSync(list, 'utf8').trimEnd().split('\n');
  return new Map(
    lines.map((line) => {
      const [name = '', ours = '', node = '', go = '', reason = ''] = line.split('\t');
      return [name, { name, ours, node, go, reason }];
    }),
  );
}

/** Writes them, to be read and committed. */
export function writeDifferences(differences: readonly Difference[]): void {
  const lines = differences.map(({ name, ours, node, go, reason }) =>
    [name, ours, node, go, reason].join('\t'),
  );
  writeFileSync(list, `${['case\tours\tnode\tgo\treason', ...lines].join('\n')}\n`);
}

/** The page of the docs that shows them: as it is, and as it is to be. */
export function readPage(differences: readonly Difference[]) {
  const before = readFileSync(page, 'utf8');
  const tables = Object.entries(reasons).map(([reason, why]) => {
    const rows = rowsOf(differences.filter((difference) => difference.reason === reason));
    return [`${why}\n`, '| what | ours | node | Go |', '| - | - | - | - |', ...rows, ''].join('\n');
  });
  const [head = ''] = before.split(/(?<=^## Differences\n)/m);
  return { before, after: `${head}\n${tables.join('\n')}` };
}

export function writePage(text: string): void {
  writeFileSync(page, text);
}

/** A row for all cases that have the same outcomes, and frames together that have them in the same states. */
function rowsOf(differences: readonly Difference[]): string[] {
  const byOutcome = Map.groupBy(differences, ({ ours, node, go }) => [ours, node, go].join(' | '));
  return [...byOutcome].flatMap(([outcomes, those]) => {
    const states = Map.groupBy(those, ({ name }) => name.split(' → ')[0] ?? '');
    const byStates = Map.groupBy(states, ([, cases]) =>
      cases.map(({ name }) => name.split(' → ')[1] ?? '').join(', '),
    );
    return [...byStates].map(([where, frames]) => {
      const what = briefly(frames.map(([frame]) => frame));
      return `| ${where === '' ? what : `${what} → ${where}`} | ${outcomes} |`;
    });
  });
}

/** Many frames of a type by their number: the list has them all. */
function briefly(frames: readonly string[]): string {
  const byType = Map.groupBy(frames, (frame) => frame.split(/[ ,:]/)[0] ?? '');
  return [...byType]
    .map(([type, those]) => {
      const isType = type === type.toUpperCase() && those.length > 3;
      return isType ? `${type} of ${those.length} kinds` : those.join('; ');
    })
    .join('; ');
}
