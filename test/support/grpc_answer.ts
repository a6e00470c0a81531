import { once } from 'node:events';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { gunzipSync } from 'node:zlib';
import type { RawClient } from './raw_client.ts';

/** The raw response to a call. */
export interface Answer {
  headers: IncomingHttpHeaders;
  /** The messages: whether each was compressed with gzip, and its bytes before that. */
  messages: { compressed: boolean; bytes: Buffer }[];
  trailers: IncomingHttpHeaders;
}

/** Sends a call with this body; resolves with its response. */
export async function answerTo(
  client: RawClient,
  { path, body, fields }: { path: string; body: Uint8Array; fields?: OutgoingHttpHeaders },
): Promise<Answer> {
  const stream = client.open(path, fields);
  const chunks: Buffer[] = [];
  let trailers: IncomingHttpHeaders = {};
  stream.on('data', (chunk: Buffer) => void chunks.push(chunk));
  stream.on('trailers', (fields: IncomingHttpHeaders) => (trailers = fields));
  stream.end(body);
  const [[headers]] = await Promise.all([once(stream, 'response'), once(stream, 'close')]);
  return { headers, messages: messagesOf(Buffer.concat(chunks)), trailers };
}

function messagesOf(bytes: Buffer): Answer['messages'] {
  const messages = [];
  for (let at = 0; at < bytes.length;) {
    const compressed = bytes[at] === 1;
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    const message = bytes.subarray(at + 5, end);
    messages.push({ compressed, bytes: compressed ? gunzipSync(message) : message });
    at = end;
  }
  return messages;
}
