import type { WebRequest } from '../engine/index.ts';
import { withType } from './fields.ts';

/** The header fields and the body that a handler reads, without base64 around them. */
export interface Plain {
  fields: readonly string[];
  body: AsyncIterable<Uint8Array>;
}

/** Converts a call with GET to the same call with POST. */
export function fromQuery({ path, fields }: Pick<WebRequest, 'path' | 'fields'>): Plain {
  const query = new URLSearchParams(path.slice(path.indexOf('?') + 1));
  const message = query.get('message') ?? '';
  const bytes = Buffer.from(message, query.get('base64') === '1' ? 'base64' : 'utf8');
  const compression = query.get('compression');
  const typed = withType(fields, `application/${query.get('encoding') ?? ''}`);
  return {
    fields: compression === null ? typed : [...typed, 'content-encoding', compression],
    body: one(bytes),
  };
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
