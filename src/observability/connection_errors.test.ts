import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable } from '../printable.ts';
import { createConnectionErrors } from './connection_errors.ts';

function create() {
  const clock = { now: 0 };
  const lines: object[] = [];
  const log = { warn: (line: object) => void lines.push(line) };
  const errors = createConnectionErrors({ log, now: () => clock.now });
  const record = (reason: string, peer: string) => errors.record({ reason, peer, message: 'why' });
  return { clock, lines, errors, record, counts: () => Object.fromEntries(errors.counts()) };
}

test('record() logs a reason once a minute for each address, and counts all errors', () => {
  const { clock, lines, record, counts } = create();

  for (let port = 1; port <= 3; port++) record('refused', `10.0.0.1:${port}`);
  record('refused', '[::1]:9');
  record('http1', '10.0.0.1:4');
  clock.now = 60_000;
  record('refused', '10.0.0.1:5');
  record('refused', '10.0.0.1:6');

  assert.deepEqual(lines, [
    { reason: 'refused', peer: '10.0.0.1:1', detail: 'why' },
    { reason: 'refused', peer: '[::1]:9', detail: 'why' },
    { reason: 'http1', peer: '10.0.0.1:4', detail: 'why' },
    { reason: 'refused', peer: '10.0.0.1:5', detail: 'why', repeated: 2 },
  ]);
  assert.deepEqual(counts(), { refused: 6, http1: 1 });
});

test('record() writes at most 1,000 lines a minute, however many addresses there are', () => {
  const { clock, lines, record, counts } = create();

  for (let i = 0; i < 5000; i++) record('refused', `10.0.${i >> 8}.${i & 255}:1`);
  const first = lines.length;
  clock.now = 60_000;
  record('refused', '10.1.1.1:1');

  assert.equal(first, 1000);
  assert.equal(lines.length, 1001);
  assert.deepEqual(counts(), { refused: 5001 });
});

test('record() truncates what a peer has sent', () => {
  const { lines, errors } = create();

  errors.record({ reason: 'protocol', message: '\u0085'.repeat(16_384), peer: '10.0.0.1:1' });

  assert.ok(printable(JSON.stringify(lines)).length < 600);
});
