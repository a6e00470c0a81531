import { AbortError, abortable } from 'abort-controller-x';
import type { CallContext, ServerMiddlewareCall } from 'nice-grpc-common';

/**
 * Makes a request stream throw AbortError as soon as the call's signal aborts. Otherwise a handler that waits for the
 * next request would outlive its deadline, and on grpc-js take a cancelled stream for a complete one.
 */
export async function* abortRequests<Req, Res>(
  call: ServerMiddlewareCall<Req, Res>,
  context: CallContext,
) {
  if (!call.requestStream) return yield* call.next(call.request, context);
  return yield* call.next(untilAborted(call.request, context.signal), context);
}

async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal) {
  const iterator = source[Symbol.asyncIterator]();
  try {
    while (true) {
      const { done, value } = await abortable(signal, iterator.next());
      if (signal.aborted) throw new AbortError();
      if (done) return;
      yield value;
    }
  } finally {
    // Not awaited: after an abort it ends only when the engine releases the stream.
    void leave(iterator);
  }
}

async function leave(iterator: AsyncIterator<unknown>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {
    // Nothing reads the stream any more.
  }
}
