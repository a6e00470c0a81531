import type { WebRequest, WebResponse } from '../engine/index.ts';
import { textResponse } from './text_response.ts';

interface PagesDeps {
  /** True if the server accepts new calls. */
  isReady: () => boolean;
}

/** Serves a page that describes the server, and health checks for load balancers that do not support gRPC. */
export function createPages({ isReady }: PagesDeps) {
  const pages = new Map<string, (request: WebRequest) => WebResponse>([
    ['/', (request) => textResponse(200, welcome(request))],
    ['/healthz', ready],
    ['/readyz', ready],
  ]);

  return {
    of(request: WebRequest, path: string): WebResponse | undefined {
      if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
      return pages.get(path)?.(request);
    },
  };

  function ready(): WebResponse {
    return isReady() ? textResponse(200, 'ok') : textResponse(503, 'not ready');
  }
}

function welcome({ authority, scheme }: WebRequest): string {
  const address = /^[\w.:[\]-]{1,255}$/.test(authority) ? authority : 'localhost:50051';
  const flag = scheme === 'https' ? '-insecure' : '-plaintext';
  return `This is greeter, a gRPC server. It serves gRPC, gRPC-Web, Connect and JSON on this port.

Try:

  curl -d '{}' -H 'content-type: application/json' ${scheme}://${address}/grpc.health.v1.Health/Check
  grpcurl ${flag} ${address} list
  grpcurl ${flag} ${address} grpc.health.v1.Health/Check

/healthz and /readyz return 200 if the server accepts calls, otherwise 503.
`;
}
