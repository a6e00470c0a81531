import { createServer } from 'node:net';
import { pathToFileURL } from 'node:url';
import { createServer as createTlsServer } from 'node:tls';
import { generate } from 'selfsigned';
import { encodeHeaders } from '../../src/engine/http2/hpack/encoder.ts';
import type { RequestHeaders } from '../../src/engine/http2/request_headers.ts';
import type { Http2Server } from '../../src/engine/net/connections.ts';
import type { Stream, StreamEvents } from '../../src/engine/http2/stream.ts';
import { listenTcp } from './tcp.ts';
import { createHttp2Server } from './engine.ts';

/** `:status: 200` (RFC 7541 appendix A, index 8). */
const ok = Buffer.from([0x88]);
/** `:status: 431` (RFC 6585 section 5), a literal with the name at index 8. */
const tooLarge = Buffer.from([0x08, 0x03, ...Buffer.from('431')]);
/** `x-end: yes`, a literal without indexing. */
const trailers = Buffer.from([0x00, 0x05, ...Buffer.from('x-end'), 0x03, ...Buffer.from('yes')]);

/** The start of a body of any length: every byte is its offset modulo 251. */
export const pattern = Buffer.alloc(251 * 4000, Uint8Array.from(Array(251).keys()));

/**
 * A simple HTTP service: GET /BYTES answers with so many bytes of the pattern (5 if the path is not a number), other
 * requests with their own body. `x-trailers` asks for trailers, `x-informational` for so many informational responses
 * before the final one.
 */
export function echo(stream: Stream, request: RequestHeaders): StreamEvents {
  const { method, path, fields, overLimit } = request;
  let unconsumed = 0;
  let left = method === 'GET' ? lengthIn(path) : 0;
  let requestIsWhole = false;
  for (let i = 0; i < informationalIn(fields); i++) stream.respond(earlyHints(i));
  stream.respond(overLimit === undefined ? ok : tooLarge, { endStream: overLimit !== undefined });
  writeOn();
  return {
    data(bytes) {
      if (stream.write(Buffer.from(bytes))) stream.consume(bytes.length);
      else unconsumed += bytes.length;
    },
    end() {
      requestIsWhole = true;
      if (left === 0) end();
    },
    reset() {},
    failed() {},
    expire() {},
    sent() {},
    drain() {
      stream.consume(unconsumed);
      unconsumed = 0;
      writeOn();
    },
  };

  function writeOn(): void {
    while (left > 0) {
      const part = Buffer.from(pattern.subarray(0, left));
      left -= part.length;
      if (!stream.write(part)) break;
    }
    if (left === 0 && requestIsWhole) end();
  }

  function end(): void {
    stream.end(fields.includes('x-trailers') ? trailers : undefined);
  }
}

function lengthIn(path: string): number {
  return /^\/\d+$/.test(path) ? Number(path.slice(1)) : 5;
}

function informationalIn(fields: readonly string[]): number {
  const at = fields.indexOf('x-informational');
  return at === -1 ? 0 : Number(fields[at + 1]);
}

function earlyHints(number: number): Buffer {
  return encodeHeaders([':status', '103', 'x-number', `${number}`]);
}

/** The echo on free ports of this machine, in plaintext and with TLS. */
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

// Started by a foreign client, which reads the ports.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { plain, tls } = await serveEcho();
  console.log(JSON.stringify({ plain, tls }));
}
