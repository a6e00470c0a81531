/**
 * PROTOCOL-HTTP2.md, Percent-Encoded, in at most so many characters: UTF-8, of which octets outside of
 * space to tilde are escaped, and spaces at the ends too, as no field value may have them (RFC 9113
 * section 8.2.1). What does not fit is cut off at a whole character, and never looked at.
 */
export function percentEncode(text: string, most: number): string {
  if (text.length <= most && isPlain.test(text)) return text;
  let encoded = '';
  for (const character of text) {
    const part = encodeCharacter(character, encoded === '');
    if (encoded.length + part.length > most) break;
    encoded += part;
  }
  if (!encoded.endsWith(' ')) return encoded;
  return encoded.length + 2 <= most ? `${encoded.slice(0, -1)}%20` : encoded.trimEnd();
}

const isPlain = /^[!-$&-~](?:[ -$&-~]*[!-$&-~])?$/;

function encodeCharacter(character: string, isFirst: boolean): string {
  if (isPlain.test(character) || (character === ' ' && !isFirst)) return character;
  return encodeOctets(Buffer.from(character.toWellFormed()));
}

function encodeOctets(octets: Buffer): string {
  return octets.toString('hex').toUpperCase().replace(/../g, '%$&');
}
