import type { ServerMiddleware } from 'nice-grpc-common';

/** What is reported, and in which trailer. */
export interface LoadReportOptions {
  /** Ends in `-bin`. */
  trailer: string;
  /** Asked for with every call: it makes nothing anew that it has just made. */
  report: () => Uint8Array;
}

/** Says in the trailers of each call how busy the server is; a service may put its own report there. */
export function loadReport({ trailer, report }: LoadReportOptions) {
  const middleware: ServerMiddleware = (call, context) => {
    context.trailer.set(trailer, report());
    return call.next(call.request, context);
  };
  return middleware;
}
