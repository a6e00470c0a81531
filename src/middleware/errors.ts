import { isAbortError } from 'abort-controller-x';
import type { CallContext, ServerMiddlewareCall } from 'nice-grpc-common';
import { ServerError } from 'nice-grpc-common';
import { internal } from '../errors.ts';
import { RichError } from '../rich_error.ts';

/**
 * Turns anything we did not mean to throw into INTERNAL with a fixed message. The original stays
 * on `cause`, for the log; the caller never sees it. An abort counts as meant only when the call
 * was aborted. What we did mean tells the caller all that it has to say.
 */
export async function* hideInternalErrors<Req, Res>(
  call: ServerMiddlewareCall<Req, Res>,
  context: CallContext,
) {
  try {
    return yield* call.next(call.request, context);
  } catch (error) {
    if (error instanceof RichError) error.tell(context.trailer);
    if (error instanceof ServerError) throw wellFormed(error);
    if (isAbortError(error) && context.signal.aborted) throw error;
    throw internal(error);
  }
}

/** grpc-js percent-encodes the message with encodeURI, which a lone surrogate makes throw. */
function wellFormed(error: ServerError): ServerError {
  if (!error.details.isWellFormed()) error.details = error.details.toWellFormed();
  return error;
}
