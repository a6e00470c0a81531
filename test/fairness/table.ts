import { createTable, type Table } from '../pod/table.ts';
import { codes, type Round } from './rig.ts';
import type { Row } from './rows.ts';

/** A table of results, in milliseconds and MiB. */
export function createRowTable(): Table {
  return createTable('row');
}

/** Adds the best round of a row. */
export function addRow(table: Table, { name }: Row, round: Round): void {
  const { without, during, after, done, peak, cpuMs, load, failures } = round;
  const pair = (pick: (seen: Round['during']) => number) =>
    `${ms(pick(without))} / ${ms(pick(during))}`;
  table.set(name, 'sent', bytes(done.bytesSent));
  table.set(
    name,
    'worst',
    pair(({ calls }) => calls.worst),
  );
  table.set(
    name,
    'p99',
    pair(({ calls }) => calls.p99),
  );
  table.set(
    name,
    'median',
    pair(({ calls }) => calls.median),
  );
  table.set(
    name,
    'probe worst',
    pair(({ probes }) => probes.worst),
  );
  table.set(name, 'busy', `${Math.max(during.calls.busy, during.probes.busy)}`);
  table.set(name, 'after', ms(Math.max(after.calls.worst, after.probes.worst)));
  table.set(name, 'OK/refused', answers(during.calls));
  table.set(name, 'probes', answers(during.probes));
  table.set(name, 'RSS', `${Math.round(peak)}`);
  table.set(name, 'CPU', ms(cpuMs));
  table.set(name, 'lag', ms(during.lag));
  table.set(name, 'load', load.toFixed(1));
  const kinds = [...new Set(failures.map(({ kind }) => kind))];
  const verdict = failures.length === 0 ? 'holds' : `RED (${kinds.join(', ')})`;
  table.set(name, '', [verdict, done.note].filter(Boolean).join(': '));
}

/** A round as one line. */
export function lineOf(round: Round): string {
  const { done, during, failures } = round;
  const { bytesSent, connected, closed, ended, took } = done;
  return [
    `${bytes(bytesSent)} in ${ms(took)} ms`,
    `${connected} connections (${closed} closed)`,
    `${ended} calls ended`,
    `worst ${ms(during.calls.worst)} ms, probe ${ms(during.probes.worst)} ms`,
    ...(failures.length > 0 ? [`RED: ${failures.map(({ what }) => what).join('; ')}`] : ['holds']),
    ...(done.note ? [done.note] : []),
  ].join(', ');
}

function answers(times: Round['during']['calls']): string {
  const others = codes(times);
  return `${times.ok}/${others || '0'}`;
}

function ms(value: number): string {
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}

function bytes(count: number): string {
  return count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}
