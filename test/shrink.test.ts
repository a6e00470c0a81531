import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { shrink } from '../release/shrink.ts';

const skip = process.platform === 'linux' ? false : 'cuts programs of Linux alone';

function fileIn(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'node');
}

test('a Node without its languages is 30 MB smaller, and speaks English', { skip }, (t) => {
  const node = fileIn(t);
  copyFileSync(process.execPath, node);

  shrink(node);

  const script = `JSON.stringify([
    new Date(0).toLocaleString('en', { timeZone: 'Europe/Berlin' }),
    new Intl.NumberFormat('de').format(12345.6),
    ['b', 'a', 'É'].toSorted(new Intl.Collator().compare),
    /^\\p{Lu}/u.test('É'), 'ß'.toUpperCase(), 'ﬁ'.normalize('NFKD'),
    new URL('http://bücher.example').host,
    new TextDecoder('utf-16le').decode(Uint8Array.of(0x61, 0)),
  ])`;
  const said = JSON.parse(execFileSync(node, ['-p', script], { encoding: 'utf8', env: {} }));
  assert.deepEqual(said, [
    '1/1/1970, 1:00:00 AM',
    '12,345.6',
    ['a', 'b', 'É'],
    true,
    'SS',
    'fi',
    'xn--bcher-kva.example',
    'a',
  ]);
  assert.ok(statSync(process.execPath).size - statSync(node).size > 30_000_000);
});

test('shrink() throws for a file that is no Node', (t) => {
  const file = fileIn(t);
  writeFileSync(file, 'CmnD: not the data of ICU');

  assert.throws(() => shrink(file), {
    message: 'Cannot shrink the data of ICU: the program must have it',
  });
});
