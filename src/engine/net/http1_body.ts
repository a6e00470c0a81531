import type { IncomingMessage } from 'node:http';
import { AbortError } from 'abort-controller-x';
import { letGo } from '../buffers.ts';
import { copyWork, type Flow } from '../scheduler.ts';

interface BodyDeps {
  flow: Flow;
  /** Aborts when the request is over. */
  signal: AbortSignal;
}

/**
 * The chunks of a request body. It replaces the iterator of IncomingMessage, which takes a third of the time of a small
 * request, and joins chunks without freeing them.
 */
export async function* bodyOf(
  request: IncomingMessage,
  { flow, signal }: BodyDeps,
): AsyncGenerator<Uint8Array> {
  let chunk: Buffer | undefined;
  let wake: (() => void) | undefined;
  const onData = (bytes: Buffer) => {
    request.pause();
    chunk = bytes;
    wake?.();
  };
  const onEnd = () => wake?.();
  request.on('data', onData).on('end', onEnd).on('close', onEnd);
  try {
    for (;;) {
      if (chunk) {
        const bytes = chunk;
        chunk = undefined;
        flow.spend(copyWork(bytes.length));
        if (flow.isSpent) await new Promise<void>((resolve) => flow.wait(resolve));
        yield bytes;
      } else if (request.complete && request.readableLength === 0) return;
      else if (request.destroyed) throw new AbortError();
      else {
        request.resume();
        await new Promise<void>((resolve) => (wake = resolve));
      }
    }
  } finally {
    request.off('data', onData).off('end', onEnd).off('close', onEnd);
    if (chunk) letGo(chunk);
    if (signal.aborted) discard(request);
  }
}

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
