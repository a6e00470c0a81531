import { createServer } from 'node:net';
import { pathToFileURL } from 'node:url';
import { createServer as createTlsServer } from 'node:tls';
import { generate } from 'selfsigned';
import type { RequestHeaders } from '../src/http2/request_headers.ts';
import { createHttp2Server, type Http2Server } from '../src/http2/server.ts';
import type { Stream, StreamEvents } from '../src/http2/stream.ts';
import { listenTcp } from './tcp.ts';

/** `:status: 200` (RFC 7541 appendix A, index 8). */
const ok = Buffer.from([0x88]);
/** `x-end: yes`, a literal without indexing. */
const trailers = Buffer.from([0x00, 0x05, ...Buffer.from('x-end'), 0x03, ...Buffer.from('yes')]);

/**
 * Serves HTTP as plainly as can be: GET /BYTES answers with so many bytes (5, where the path is no
 * number), anything else with what it is sent. `x-trailers` asks for trailers.
 */
export function echo(stream: Stream, { method, path, fields }: RequestHeaders): StreamEvents {
  let unconsumed = 0;
  stream.respond(ok);
  if (method === 'GET') stream.write(Buffer.alloc(Number(path.slice(1)) || 5, 'x'));
  return {
    data(bytes) {
      if (stream.write(Buffer.from(bytes))) stream.consume(bytes.length);
      else unconsumed += bytes.length;
    },
    end: () => stream.end(fields.includes('x-trailers') ? trailers : undefined),
    reset() {},
    drain() {
      stream.consume(unconsumed);
      unconsumed = 0;
    },
  };
}

/** The echo on a free port of this machine, in plain text and with TLS. */
export async function serveEcho(server: Http2Server = createHttp2Server({ serve: echo })) {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    algorithm: 'sha256',
  });
  const plain = createServer((socket) => server.attach(socket));
  const tls = createTlsServer({ cert, key, ALPNProtocols: ['h2'] }, (socket) => {
    server.attach(socket);
  });
  tls.on('tlsClientError', () => {});
  return {
    server,
    plain: await listenTcp(plain),
    tls: await listenTcp(tls),
    close() {
      server.destroy();
      plain.close();
      tls.close();
    },
  };
}

// Started by a foreign client: it reads the ports.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { plain, tls } = await serveEcho();
  console.log(JSON.stringify({ plain, tls }));
}
