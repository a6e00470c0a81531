import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasons } from './reasons.ts';

/** A case that the engine answers differently from node:http2 or x/net/http2. */
export interface Difference {
  name: string;
  ours: string;
  node: string;
  go: string;
  /** A key of reasons.ts. */
  reason: string;
}

const list = join(import.meta.dirname, 'differences.tsv');
const page = join(import.meta.dirname, '../../docs/http2.md');

/** The known differences, by case. */
export function readDifferences(): Map<string, Difference> {
  const [, ...lines] = readFileSync(list, 'utf8').trimEnd().split('\n');
  return new Map(
    lines.map((line) => {
      const [name = '', ours = '', node = '', go = '', reason = ''] = line.split('\t');
      return [name, { name, ours, node, go, reason }];
    }),
  );
}

/** Writes the list, to be reviewed and committed. */
export function writeDifferences(differences: readonly Difference[]): void {
  const lines = differences.map(({ name, ours, node, go, reason }) =>
    [name, ours, node, go, reason].join('\t'),
  );
  writeFileSync(list, `${['case\tours\tnode\tgo\treason', ...lines].join('\n')}\n`);
}

/** docs/http2.md, as it is and as it should be. */
export function readPage(differences: readonly Difference[]) {
  const before = readFileSync(page, 'utf8');
  const tables = Object.entries(reasons).map(([reason, { title, text }]) => {
    const rows = rowsOf(differences.filter((difference) => difference.reason === reason));
    const head = [
      '| case → stream state | this engine | node:http2 | x/net/http2 |',
      '| - | - | - | - |',
    ];
    return [`### ${title}\n\n${text}\n`, ...head, ...rows, ''].join('\n');
  });
  const [head = ''] = before.split(/(?<=^## Differences\n)/m);
  return { before, after: `${head}\n${tables.join('\n')}` };
}

export function writePage(text: string): void {
  writeFileSync(page, text);
}

/** One row for the cases with the same outcomes, with the frames grouped that have them in the same states. */
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

/** Abbreviates more than three frames of one type to their number; differences.tsv has them all. */
function briefly(frames: readonly string[]): string {
  const byType = Map.groupBy(frames, (frame) => frame.split(/[ ,:]/)[0] ?? '');
  return [...byType]
    .map(([type, those]) => {
      const isType = type === type.toUpperCase() && those.length > 3;
      return isType ? `${those.length} variants of ${type}` : those.join('; ');
    })
    .join('; ');
}
