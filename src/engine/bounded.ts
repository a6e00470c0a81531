/**
 * Truncates a text to at most `most` bytes of its JSON encoding, with non-printable characters escaped. Each
 * non-ASCII character counts as six bytes, as in `\u009b`.
 */
export function bounded(text: string, most: number): string {
  if (text.length * longestEscape <= most) return text;
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    bytes += writtenBytes(text.charCodeAt(at));
    if (bytes > most) return text.slice(0, at);
  }
  return text;
}

const longestEscape = 6;
const quote = 0x22;
const backslash = 0x5c;

function writtenBytes(unit: number): number {
  if (unit < 0x20 || unit > 0x7e) return longestEscape;
  return unit === quote || unit === backslash ? 2 : 1;
}
