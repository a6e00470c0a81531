/** Whether a body of this content type is in base64: for browsers that read a response as text while it comes. */
export function isText(type: string): boolean {
  return type.startsWith('application/grpc-web-text');
}

/** The content type of the same body without base64. */
export function withoutText(type: string): string {
  return type.replace('-text', '');
}

/** A body out of base64, of which each part that somebody has sent may end with padding of its own. */
export async function* decodeText(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest = '';
  for await (const chunk of body) {
    const text =
      rest + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1');
    const whole = text.length - (text.length % 4);
    rest = text.slice(whole);
    if (whole > 0) yield decoded(text.slice(0, whole));
  }
  if (rest !== '') yield decoded(rest);
}

/** Four characters are three bytes, or fewer where they end with padding: there a part ends. */
function decoded(text: string): Buffer {
  if (!text.includes('=')) return Buffer.from(text, 'base64');
  const parts = text.match(/[^=]+=*/g) ?? [];
  return Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')));
}

/** Each part in base64 with padding of its own, so that whoever has it can decode it. */
export async function* encodeText(
  body: AsyncIterable<Uint8Array> | Uint8Array,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    yield Buffer.from(bytes.toString('base64'), 'latin1');
  }
}
