import { type CallContext, ServerError, type ServerMiddlewareCall, Status } from 'nice-grpc-common';
import { prefixLength, withPrefix } from '../../src/engine/grpc/methods.ts';
import type { Router } from '../../src/engine/grpc/router.ts';
import type { Retaining } from '../../src/engine/grpc/context.ts';

/** The messages that a handler has read and returned. */
export interface Tally {
  /** True while it reads messages one by one. */
  isReading: boolean;
  /** The number of read messages, and their bytes with prefixes. */
  messages: number;
  taken: number;
  largest: number;
  /** The bytes of the last one. */
  last: number;
  /** The same for returned messages. */
  given: number;
  givenBytes: number;
  /** Bytes that it retains and has reported. */
  retained: number;
}

interface ServiceDeps {
  /** By the value of `x-call`. */
  tallyOf: (name: string) => Tally;
  /** Calls of Hold wait for this promise. */
  gate: () => Promise<void>;
}

type Context = CallContext & Retaining;

/** The methods by their behaviour. */
export const paths = {
  echo: '/sim/Echo',
  hold: '/sim/Hold',
  pingPong: '/sim/PingPong',
  fill: '/sim/Fill',
  never: '/sim/Never',
  fail: '/sim/Fail',
  keep: '/sim/Keep',
} as const;

/** The size of each response of Fill, which sends more than any window. */
const fillBytes = 5000;
const fillCount = 60;

/** Adds the methods. */
export function addMethods(router: Router, { tallyOf, gate }: ServiceDeps): void {
  const unary = { requestStream: false, responseStream: false };
  const bidi = { requestStream: true, responseStream: true };
  const fill = { requestStream: false, responseStream: true };
  const keep = { requestStream: true, responseStream: false };

  add(paths.echo, unary, async (tally, request) => only(tally, request));
  add(paths.hold, unary, async (tally, request) => {
    const message = take(tally, request);
    await gate();
    return given(tally, message);
  });
  add(paths.pingPong, bidi, async function* (tally, request) {
    for await (const message of taken(tally, request)) yield given(tally, message);
  });
  add(paths.fill, fill, async function* (tally, request) {
    take(tally, request);
    for (let left = fillCount; left > 0; left--) yield given(tally, Buffer.alloc(fillBytes));
  });
  add(paths.never, fill, async function* (tally, request) {
    take(tally, request);
    yield given(tally, Buffer.alloc(10));
    await new Promise(() => {});
  });
  add(paths.fail, bidi, async function* (tally, request) {
    for await (const message of taken(tally, request)) {
      yield given(tally, message);
      throw new ServerError(Status.NOT_FOUND, 'Cannot find it');
    }
  });
  add(paths.keep, keep, async (tally, request, { retain }) => {
    const kept: Buffer[] = [];
    for await (const message of taken(tally, request)) {
      kept.push(Buffer.from(message));
      tally.retained += message.length;
      retain?.(tally.retained);
    }
    return given(tally, Buffer.alloc(kept.length % 100));
  });

  function add(
    path: string,
    kind: { requestStream: boolean; responseStream: boolean },
    handler: (tally: Tally, request: unknown, context: Context) => unknown,
  ): void {
    router.add({
      path,
      ...kind,
      options: {},
      // The bytes share memory with others.
      decode: (bytes) => Buffer.from(bytes),
      encode: withPrefix,
      // Only half of the methods have middleware, as calls without take another path.
      chain: kind.requestStream ? [through] : [],
      handler: (request, context) =>
        handler(tallyOf(`${context.metadata.get('x-call')}`), request, context),
    });
  }
}

async function* through<Request, Response>(
  call: ServerMiddlewareCall<Request, Response>,
  context: CallContext,
) {
  return yield* call.next(call.request, context);
}

/** The message of a unary call, to be returned. */
function only(tally: Tally, request: unknown): Buffer {
  return given(tally, take(tally, request));
}

async function* taken(tally: Tally, requests: unknown): AsyncGenerator<Buffer> {
  if (!isStream(requests)) throw new TypeError('Cannot accept requests: they are no stream');
  tally.isReading = true;
  try {
    for await (const request of requests) yield take(tally, request);
  } finally {
    tally.isReading = false;
  }
}

function take(tally: Tally, request: unknown): Buffer {
  if (!Buffer.isBuffer(request)) throw new TypeError('Cannot accept a request: it is no bytes');
  const bytes = prefixLength + request.length;
  tally.messages++;
  tally.taken += bytes;
  tally.last = bytes;
  tally.largest = Math.max(tally.largest, bytes);
  return request;
}

function given(tally: Tally, response: Buffer): Buffer {
  tally.given++;
  tally.givenBytes += prefixLength + response.length;
  return response;
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
