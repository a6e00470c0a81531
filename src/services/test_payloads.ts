import type { Call } from '../context.ts';
import { exhausted } from '../errors.ts';
import { type Payload, PayloadType } from '../gen/grpc/testing/messages.ts';
import { checkPayload } from './test_responses.ts';

/** What bounds the payloads of all calls together. */
export interface PayloadLimits {
  /** Of one payload, in bytes. */
  maxMessageSize: number;
  /** How many bytes the server has room for; Infinity where it does not know. */
  freeBytes: () => number;
}

/** What is made in one turn of the event loop, in bytes: by the next, the server knows that it holds it. */
const bytesPerTurn = 4 * 1024 * 1024;

/**
 * Makes payloads of zeros: few bytes ask for many, and a thousand calls may come at once. What is too
 * much for one turn waits for the next, and what the server has no room for is RESOURCE_EXHAUSTED.
 */
export function createPayloads({ maxMessageSize, freeBytes }: PayloadLimits) {
  const waiting: { size: number; resolve: () => void }[] = [];
  let isTurning = false;
  let left = bytesPerTurn;
  let room = 0;

  return async (
    { type, size }: { type: PayloadType; size: number },
    { signal }: Call,
  ): Promise<Payload> => {
    checkPayload(type, size, maxMessageSize);
    if (!isTurning) begin();
    if (waiting.length > 0 || !fits(size)) {
      await new Promise<void>((resolve) => waiting.push({ size, resolve }));
      signal.throwIfAborted();
    } else left -= size;
    if (size > room) throw exhausted('send this response', 'too much is buffered');
    room -= size;
    return { type, body: Buffer.alloc(size) };
  };

  function begin(): void {
    isTurning = true;
    left = bytesPerTurn;
    room = freeBytes();
    setImmediate(turn);
  }

  function turn(): void {
    isTurning = false;
    if (waiting.length === 0) return;
    begin();
    for (let next = waiting[0]; next && fits(next.size); next = waiting[0]) {
      waiting.shift();
      left -= next.size;
      next.resolve();
    }
  }

  /** One that is larger than any turn has one for itself. */
  function fits(size: number): boolean {
    return size <= left || left === bytesPerTurn;
  }
}
