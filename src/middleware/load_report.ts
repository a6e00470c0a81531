import type { ServerMiddleware } from 'nice-grpc-common';

/** The report and its trailer. */
export interface LoadReportOptions {
  /** Ends with `-bin`. */
  trailer: string;
  /** Called for every call; it must be cached for a short time. */
  report: () => Uint8Array;
}

/** Adds the server's load to the trailers of each call; a service may set its own report. */
export function loadReport({ trailer, report }: LoadReportOptions) {
  const middleware: ServerMiddleware = (call, context) => {
    context.trailer.set(trailer, report());
    return call.next(call.request, context);
  };
  return middleware;
}
