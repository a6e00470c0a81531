import { type CallContext, ServerError, type ServerMiddlewareCall } from 'nice-grpc-common';
import { CallError, internal } from '../errors.ts';
import { RichError } from '../rich_error.ts';
import { isAbort, serverErrorStatus, whyAborted } from '../engine/errors.ts';

/**
 * Replaces an unexpected error by INTERNAL with a fixed message; the original is its `cause`, for the log only. An
 * AbortError of an aborted call is replaced by the reason of the abort. A RichError adds its details to the trailers.
 */
export async function* hideInternalErrors<Req, Res>(
  call: ServerMiddlewareCall<Req, Res>,
  context: CallContext,
) {
  try {
    return yield* call.next(call.request, context);
  } catch (error) {
    throw forCaller(whyAborted(error, context.signal), context);
  }
}

/**
 * The maximum length of details in characters. More would not be sent, but encoding it takes several times as much
 * memory.
 */
const longestDetails = 4096;

/** Maps a thrown value, which may be anything, to the error for the caller. */
function forCaller(thrown: unknown, { signal, trailer }: CallContext): unknown {
  if (signal.aborted && isAbort(thrown)) return thrown;
  const status = serverErrorStatus(thrown);
  if (!status) return internal(thrown);
  try {
    if (thrown instanceof RichError) thrown.tell(trailer);
    // grpc-js encodes the message with encodeURI, which throws for a lone surrogate.
    const details = status.details.slice(0, longestDetails).toWellFormed();
    const isSo =
      thrown instanceof ServerError && thrown.code === status.code && thrown.details === details;
    return isSo ? thrown : new CallError(status.code, details, { cause: thrown });
  } catch {
    return internal(thrown);
  }
}
