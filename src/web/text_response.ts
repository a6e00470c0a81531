import { type WebResponse, withOwnMemory } from '../engine/index.ts';

/** Creates a response of one line or more of text; `fields` are further names and values, alternating. */
export function textResponse(
  status: number,
  text: string,
  fields: readonly string[] = [],
): WebResponse {
  // Clients may read it late.
  const body = withOwnMemory(Buffer.from(text.endsWith('\n') ? text : `${text}\n`));
  const own = ['content-type', 'text/plain; charset=utf-8', 'content-length', String(body.length)];
  return { status, fields: [...own, ...fields], body };
}
