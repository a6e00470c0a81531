import { type CallContext, ServerError, type ServerMiddlewareCall } from 'nice-grpc-common';
import { CallError, internal } from '../errors.ts';
import { RichError } from '../rich_error.ts';
import { isAbort, meantBy, whyAborted } from '../engine/errors.ts';

/**
 * Turns anything we did not mean to throw into INTERNAL with a fixed message. The original stays
 * on `cause`, for the log; the caller never sees it. An abort counts as meant only when the call
 * was aborted, and is told as what that was for. What we did mean tells the caller all that it has to say.
 */
export async function* hideInternalErrors<Req, Res>(
  call: ServerMiddlewareCall<Req, Res>,
  context: CallContext,
) {
  try {
    return yield* call.next(call.request, context);
  } catch (error) {
    throw told(whyAborted(error, context.signal), context);
  }
}

/** More would not be sent; to encode it would take several times as much. In characters. */
const longestDetails = 4096;

/** What the caller is told of what was thrown, which may be anything and throw when it is looked at. */
function told(thrown: unknown, { signal, trailer }: CallContext): unknown {
  if (signal.aborted && isAbort(thrown)) return thrown;
  const meant = meantBy(thrown);
  if (!meant) return internal(thrown);
  try {
    if (thrown instanceof RichError) thrown.tell(trailer);
    // grpc-js percent-encodes the message with encodeURI, which a lone surrogate makes throw.
    const details = meant.details.slice(0, longestDetails).toWellFormed();
    const isSo =
      thrown instanceof ServerError && thrown.code === meant.code && thrown.details === details;
    return isSo ? thrown : new CallError(meant.code, details, { cause: thrown });
  } catch {
    return internal(thrown);
  }
}
