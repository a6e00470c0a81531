import { freeLarge, type WebRequest } from '../engine/index.ts';

/** True if the body has this content type's base64 encoding, for browsers that can stream responses only as text. */
export function isText(type: string): boolean {
  return type.startsWith('application/grpc-web-text');
}

/** Returns the content type of the same body without base64. */
export function withoutText(type: string): string {
  return type.replace('-text', '');
}

/** Decodes base64 that consists of parts, each of which may end with padding. */
export async function* decodeText(
  body: AsyncIterable<Uint8Array>,
  { inTurn }: Pick<WebRequest, 'inTurn'>,
): AsyncGenerator<Uint8Array> {
  let rest = '';
  for await (const chunk of body) {
    const text =
      rest + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1');
    const whole = text.length - (text.length % 4);
    rest = text.slice(whole);
    if (whole > 0) yield await inTurn(workOf(text), () => decoded(text.slice(0, whole)));
  }
  if (rest !== '') yield decoded(rest);
}

/** The work of decoding, in units of a flow: much more if there are many parts. */
function workOf(text: string): number {
  return text.length >> (text.includes('=') ? 3 : 8);
}

/** Four characters are three bytes, or fewer if they end with padding, which also ends a part. */
function decoded(text: string): Buffer {
  if (!text.includes('=')) return Buffer.from(text, 'base64');
  const parts = text.match(/[^=]+=*/g) ?? [];
  return Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')));
}

/** Encodes each chunk as base64 with padding, so that the receiver can decode it at once. */
export async function* encodeText(
  body: AsyncIterable<Uint8Array> | Uint8Array,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const text = bytes.toString('base64');
    freeLarge(chunk);
    yield Buffer.from(text, 'latin1');
  }
}
