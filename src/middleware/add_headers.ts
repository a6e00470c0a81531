import type { CallContext, ServerMiddlewareCall } from 'nice-grpc-common';

/**
 * Adds names and values, alternating, to the headers of each response, or to the trailers of a failed call: headers
 * would keep clients from retrying (gRFC A6).
 */
export function addHeaders(fields: readonly string[]) {
  const entries: [name: string, value: string][] = [];
  for (let at = 0; at < fields.length; at += 2)
    entries.push([fields[at] ?? '', fields[at + 1] ?? '']);

  return async function* added<Req, Res>(
    call: ServerMiddlewareCall<Req, Res>,
    context: CallContext,
  ) {
    for (const [name, value] of entries) context.header.set(name, value);
    try {
      return yield* call.next(call.request, context);
    } catch (error) {
      for (const [name, value] of entries) {
        context.header.delete(name);
        context.trailer.set(name, value);
      }
      throw error;
    }
  };
}
