import type { Socket } from 'node:net';
import { Held } from '../held.ts';
import type { Incident } from '../http2/incident.ts';
import type { Http2ServerOptions } from '../net/connections.ts';
import { loadedByFirst } from '../net/late_http1.ts';
import { resetSocket } from '../net/socket.ts';
import type { ConnectionFaults } from '../http2/connection_faults.ts';
import type { ServeWeb } from '../web.ts';
import type { InnerPlace } from './inner_call.ts';
import { type Loaded, serveWebStream } from './web_stream.ts';

/** The memory of an open HTTP/2 request beside its call, in bytes. */
const requestCost = 4 * 1024;

/** The entry points for requests that are not gRPC calls, of both HTTP versions. */
interface WebParts {
  serveHttp1: NonNullable<Http2ServerOptions['serveHttp1']>;
  serveStream: Http2ServerOptions['serve'];
}

interface WebPartsDeps {
  load: () => Promise<ServeWeb>;
  /** Serves the calls that such requests open. */
  serve: Http2ServerOptions['serve'];
  /** The charge of an open call in bytes. */
  callCost: number;
  /** Called for requests that open no call. */
  report: Required<Http2ServerOptions>['report'];
  /** Milliseconds on a monotonic clock. */
  now?: () => number;
}

/** Creates the entry points; the code behind them is loaded with the first request. */
export function createWebParts({
  load,
  serve,
  callCost,
  report,
  now = performance.now.bind(performance),
}: WebPartsDeps): WebParts {
  let loading: Promise<Loaded> | undefined;

  return {
    serveHttp1: (deps) =>
      loadedByFirst(async () => {
        const [{ createHttp1Server }, { serve: serveWeb, open }] = await Promise.all([
          import('../net/http1.ts'),
          loadOnce(),
        ]);
        return createHttp1Server({
          ...deps,
          serve: serveWeb,
          open: (head, { socket, ...place }) =>
            open(
              { ...place, streamCost: callCost, serve: on(socket), faults: faultsOf(socket) },
              head,
            ),
        });
      }),
    serveStream(stream, request, socket) {
      const { account, flow } = stream;
      stream.hold(Held.calls, callCost + requestCost);
      const { authority, scheme } = request;
      const about = { account, flow, authority, scheme, outer: stream };
      const place = { ...about, streamCost: callCost, serve: on(socket) };
      const reportOf = (incident: Incident) => report?.(incident, socket);
      return serveWebStream({ stream, request, place, load: loadOnce, report: reportOf, now });
    },
  };

  function loadOnce(): Promise<Loaded> {
    loading ??= Promise.all([load(), import('./inner_call.ts')]).then(
      ([serveWeb, { openInnerCall }]) => ({ serve: serveWeb, open: openInnerCall }),
    );
    return loading;
  }

  function on(socket: Parameters<Http2ServerOptions['serve']>[2]): InnerPlace['serve'] {
    return (stream, request) => serve(stream, request, socket);
  }
}

/** HTTP/1.1 has no GOAWAY. */
function faultsOf(socket: Socket): ConnectionFaults {
  return { drop: () => resetSocket(socket), retire: () => void socket.destroy() };
}
