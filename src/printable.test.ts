import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bounded } from './engine/bounded.ts';
import { printable } from './printable.ts';

test('printable() escapes control characters, line separators, and format characters', () => {
  const escaped = {
    '\u001B]0;title\u0007': '\\u001b]0;title\\u0007',
    '\r\u0000\b': '\\u000d\\u0000\\u0008',
    '\u007F\u0085\u009B2J': '\\u007f\\u0085\\u009b2J',
    '\u2028\u2029': '\\u2028\\u2029',
    '\u061C\u200E\u202E\u2066\uFEFF': '\\u061c\\u200e\\u202e\\u2066\\ufeff',
    // A tag, which is two UTF-16 code units, and half of a pair.
    '\u{E0041}': '\\udb40\\udc41',
    '\uD83D!': '\\ud83d!',
  };

  for (const [text, expected] of Object.entries(escaped)) assert.equal(printable(text), expected);
});

test('printable() keeps line breaks, tabs, letters of all languages and emoji', () => {
  const text =
    'one\n\ttwo é ß 日本 \u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645 👩\u200D🚀 \\u001b';

  assert.equal(printable(text), text);
});

test('bounded() truncates a text to a number of bytes as escaped JSON', () => {
  const characters = [
    'x',
    '"',
    '\\',
    '\u001B',
    '\u007F',
    '\u009B',
    'é',
    '日',
    '\u202E',
    '😀',
    '\n',
  ];

  for (const character of characters) {
    for (const most of [6, 20, 200]) {
      const cut = bounded(character.repeat(200), most);
      const json = Buffer.byteLength(printable(JSON.stringify(cut))) - '""'.length;
      assert.ok(json <= most && cut.length >= Math.floor(most / 6), `${character}: ${json}`);
    }
  }
});

test('bounded() keeps a text that is short enough', () => {
  assert.equal(bounded('x'.repeat(200), 200), 'x'.repeat(200));
  assert.equal(bounded('"'.repeat(64), 128), '"'.repeat(64));
  assert.equal(bounded('日本', 12), '日本');
  assert.equal(bounded('', 0), '');
});
