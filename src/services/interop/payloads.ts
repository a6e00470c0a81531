import type { Call } from '../../context.ts';
import { exhausted } from '../../errors.ts';
import { type Payload, PayloadType } from '../../gen/grpc/testing/messages.ts';
import { checkPayload } from './responses.ts';

/** Limits of the payloads of all calls. */
export interface PayloadLimits {
  /** The maximum of one payload, in bytes. */
  maxMessageSize: number;
  /** Free bytes of the server; Infinity if unknown. */
  freeBytes: () => number;
}

/** Bytes that are created in one turn of the event loop; by the next, they are charged. */
const bytesPerTurn = 4 * 1024 * 1024;

/**
 * Creates payloads of zeros. A small request can ask for a large payload, and a thousand calls may come at once: what
 * exceeds the quota of a turn waits for the next, and what exceeds the free memory is RESOURCE_EXHAUSTED.
 */
export function createPayloads({ maxMessageSize, freeBytes }: PayloadLimits) {
  const waiting: { size: number; resolve: () => void }[] = [];
  let isTurning = false;
  let left = bytesPerTurn;
  let free = 0;

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
    if (size > free) throw exhausted('send this response', 'too much is buffered');
    free -= size;
    return { type, body: Buffer.alloc(size) };
  };

  function begin(): void {
    isTurning = true;
    left = bytesPerTurn;
    free = freeBytes();
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

  /** A payload larger than the quota gets a turn of its own. */
  function fits(size: number): boolean {
    return size <= left || left === bytesPerTurn;
  }
}
