import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { shellWord } from './shell.ts';

test('shellWord() does not quote plain words', () => {
  for (const word of ['greeter', './dist/greeter', 'localhost:50051', 'unix:/run/greeter.sock']) {
    assert.equal(shellWord(word), word);
  }
  assert.equal(
    shellWord(String.raw`C:\Program Files\greeter.exe`),
    String.raw`"C:\Program Files\greeter.exe"`,
  );
});

test('shellWord() quotes a word so that a shell reads the same word', () => {
  const words = [
    '',
    ' ',
    'a b',
    "it's",
    '"',
    '$HOME',
    '`id`',
    '\\',
    '!',
    '[::1]:1',
    '*',
    '~',
    '#',
    'a\nb',
  ];
  for (const word of [...words, words.join('')]) {
    const typed = `printf '%s|' ${shellWord(word)}`;
    assert.equal(execFileSync('sh', ['-c', typed]).toString(), `${word}|`);
  }
});
