import type { WebRequest, WebResponse } from '../engine/index.ts';

interface PagesDeps {
  /** Whether new calls are welcome. */
  isReady: () => boolean;
}

/** Answers what is no call: what this is, and for load balancers that know no gRPC, how it is. */
export function createPages({ isReady }: PagesDeps) {
  const pages = new Map<string, (request: WebRequest) => WebResponse>([
    ['/', (request) => plain(200, welcome(request))],
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
    return isReady() ? plain(200, 'ok\n') : plain(503, 'not ready\n');
  }
}

function plain(status: number, text: string): WebResponse {
  const body = Buffer.from(text);
  const type = ['content-type', 'text/plain; charset=utf-8'];
  return { status, fields: [...type, 'content-length', String(body.length)], body };
}

function welcome({ authority, scheme }: WebRequest): string {
  const address = /^[\w.:[\]-]{1,255}$/.test(authority) ? authority : 'localhost:50051';
  const flag = scheme === 'https' ? '-insecure' : '-plaintext';
  return `This is greeter, a test server for gRPC. On this port it speaks gRPC, gRPC-Web, Connect and JSON.

Try:

  curl -d '{"name":"you"}' -H 'content-type: application/json' ${scheme}://${address}/helloworld.Greeter/SayHello
  grpcurl ${flag} ${address} list
  grpcurl ${flag} -d '{"name":"you"}' ${address} helloworld.Greeter/SayHello

/healthz and /readyz say whether it takes calls.
`;
}
