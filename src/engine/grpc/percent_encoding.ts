/**
 * Percent-encodes a text as UTF-8 in at most `most` characters (PROTOCOL-HTTP2.md, Percent-Encoded). It escapes
 * octets outside of space to tilde, and leading and trailing spaces, which field values must not have (RFC 9113
 * section 8.2.1). The text is cut at a character boundary; the rest is not examined.
 */
export function percentEncode(text: string, most: number): string {
  if (text.length <= most && isPlain.test(text)) return text;
  let encoded = '';
  for (const character of text) {
    const part = character === ' ' && encoded !== '' ? ' ' : encodeCharacter(character);
    if (encoded.length + part.length > most) break;
    encoded += part;
  }
  if (!encoded.endsWith(' ')) return encoded;
  return encoded.length + 2 <= most ? `${encoded.slice(0, -1)}%20` : encoded.trimEnd();
}

const isPlain = /^[!-$&-~](?:[ -$&-~]*[!-$&-~])?$/;

const escapes = Array.from(
  { length: 256 },
  (_, octet) => `%${octet.toString(16).toUpperCase().padStart(2, '0')}`,
);

/** The encoding of each ASCII character. */
const ascii = Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  return isPlain.test(character) ? character : escape(code);
});

/** Callers choose these characters, so it must be cheap. A lone surrogate becomes U+FFFD. */
function encodeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return ascii[code] ?? '';
  if (code < 0x800) return escape(0xc0 | (code >> 6)) + escapeRest(code, 0);
  if (code >= 0xd800 && code < 0xe000) return encodeCharacter('\uFFFD');
  if (code < 0x10000)
    return escape(0xe0 | (code >> 12)) + escapeRest(code, 6) + escapeRest(code, 0);
  const begin = escape(0xf0 | (code >> 18)) + escapeRest(code, 12);
  return begin + escapeRest(code, 6) + escapeRest(code, 0);
}

function escapeRest(code: number, shift: number): string {
  return escape(0x80 | ((code >> shift) & 0x3f));
}

function escape(octet: number): string {
  return escapes[octet] ?? '';
}
