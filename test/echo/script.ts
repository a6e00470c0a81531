import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../../src/context.ts';
import { ExpectedError } from '../../src/engine/errors.ts';
import { exhausted } from '../../src/errors.ts';
import type { Reply, ScriptRequest, ScriptServiceImplementation, Status } from './gen/echo.ts';

/** A request header that every method returns in its response headers. */
export const echoedHeader = 'x-echo';

/** Dependencies of the service. */
export interface ScriptDeps {
  /** Free bytes of the server; Infinity if unknown. */
  freeBytes: () => number;
}

/** Creates the service that answers as its requests ask. */
export function createScript({ freeBytes }: ScriptDeps): ScriptServiceImplementation<Call> {
  let turn = Promise.resolve();

  return {
    async unary({ replies: [reply], status }, call) {
      returnHeader(call);
      const payload = reply ? await made(reply, call) : zeros(0);
      throwAsked(status);
      return { payload };
    },

    async *serverStream(request, call) {
      begin(call);
      yield* answer(request, call);
    },

    async clientStream(requests, call) {
      returnHeader(call);
      let size = 0;
      for await (const { payload, status } of requests) {
        size += payload.length;
        throwAsked(status);
      }
      return { size };
    },

    async *bidi(requests, call) {
      begin(call);
      for await (const request of requests) yield* answer(request, call);
    },
  };

  async function* answer({ replies, status }: ScriptRequest, call: Call) {
    for (const reply of replies) yield { payload: await made(reply, call) };
    throwAsked(status);
  }

  async function made({ size, pauseMs, compressed }: Reply, { compression, signal }: Call) {
    if (pauseMs > 0) await sleep(pauseMs, undefined, { signal });
    if (size > largeSize) {
      const previous = turn;
      turn = previous.then(() => nextTurn());
      await previous;
      if (size > freeBytes()) throw exhausted('send this reply', 'too much is buffered');
    }
    if (compression) compression.compressResponses = compressed;
    return zeros(size);
  }
}

function returnHeader({ header, metadata }: Call): void {
  const value = metadata.get(echoedHeader);
  if (value !== undefined) header.set(echoedHeader, value);
}

/** Sends the headers of a stream at once; they announce that its messages may be compressed. */
function begin(call: Call): void {
  returnHeader(call);
  if (call.compression) call.compression.compressResponses = false;
  call.sendHeader();
}

/** Replies above this size are made one in a turn of the event loop, if there is memory: many calls may ask for one. */
const largeSize = 64 * 1024;

let allZeros = Buffer.alloc(0);

/** Shared, so that a reply takes no memory before it is encoded. */
function zeros(size: number): Buffer {
  if (size > allZeros.length) allZeros = Buffer.alloc(size);
  return allZeros.subarray(0, size);
}

/** A longer message does not fit into the trailers, and takes the engine long to encode. */
const longestMessage = 4096;

function throwAsked(status: Status | undefined): void {
  if (!status?.code) return;
  throw new ExpectedError(status.message.slice(0, longestMessage), { code: status.code });
}
