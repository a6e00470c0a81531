import type { WebResponse } from '../web.ts';

/** Ends the body of a response whose client has left, so that its handler releases what it holds, such as timers. */
export async function discardBody({ body }: WebResponse): Promise<void> {
  if (body === undefined || body instanceof Uint8Array) return;
  // A generator that has not started would not end the one that it reads.
  for await (const _ of body) return;
}
