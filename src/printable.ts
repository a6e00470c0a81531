/**
 * What does something to a terminal, or to the order of what is read there, instead of being shown:
 * control characters (C0, DEL and C1), line separators, format characters such as those that turn the
 * direction of text, and halves of surrogate pairs. The two that join letters are part of words.
 */
const unprintable = /[[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]--[\n\t\u200C\u200D]]/gv;

/** Most lines need no more than this look, which is faster. */
const beyondAscii = /[^\n\t\u0020-\u007E]/;

/** The text with every such character as JSON escapes it (`\u009b`), but for the ends of its lines, and tabs. */
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
