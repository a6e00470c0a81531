/**
 * Characters that control a terminal or reorder text instead of being shown: control characters (C0, DEL and C1),
 * line separators, format characters such as bidirectional overrides, and lone surrogates. The two joiners are parts
 * of words.
 */
const unprintable = /[[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]--[\n\t\u200C\u200D]]/gv;

/** A faster check that most lines pass. */
const beyondAscii = /[^\n\t\u0020-\u007E]/;

/** Escapes such characters as in JSON (`\u009b`), except for line breaks and tabs. */
export function printable(text: string): string {
  return beyondAscii.test(text) ? text.replace(unprintable, escape) : text;
}

function escape(character: string): string {
  let escaped = '';
  for (let i = 0; i < character.length; i++) {
    escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
  }
  return escaped;
}
