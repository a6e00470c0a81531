import type { IncomingMessage } from 'node:http';
import { letGo } from '../buffers.ts';

/** Frees the rest of a body as it arrives. */
export function discard(request: IncomingMessage): void {
  request.off('data', letGo).on('data', letGo).resume();
}

/** Frees what is buffered of a body that does not go on. While a stream flows, read() returns single chunks. */
export function freeUnread(request: IncomingMessage): void {
  request.resume();
  for (let chunk: unknown = request.read(); chunk instanceof Uint8Array; chunk = request.read()) {
    letGo(chunk);
  }
}
