import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createNodeServer, type ServerHttp2Stream } from 'node:http2';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { encodeHeaders } from '../../src/engine/http2/hpack/encoder.ts';
import type { RequestHeaders } from '../../src/engine/http2/request_headers.ts';
import type { Stream, StreamEvents } from '../../src/engine/http2/stream.ts';
import { listenTcp } from '../support/tcp.ts';
import { createHttp2Server } from '../support/engine.ts';

/**
 * A plaintext HTTP/2 server. It reads the whole request and answers 200 with a body: of N bytes for the path `/N`,
 * otherwise the number of bytes that it has read. `/early` is answered before it is read, and `/hold` is neither read
 * nor answered.
 */
export interface PlainServer {
  port: number;
  close(): void;
}

/** The setting that all of them announce, as far as they allow it. */
const maxConcurrentStreams = 10;
const window = 65_535;
const maxHeaderListSize = 16_384;

const ok = encodeHeaders([':status', '200']);
const tooLarge = encodeHeaders([':status', '431']);

/** The engine of src/engine/http2. */
export async function serveOurs(): Promise<PlainServer> {
  const server = createHttp2Server({
    serve: answer,
    limits: {
      maxConcurrentStreams,
      maxHeaderListSize,
      initialWindowSize: window,
      streamWindowSize: window,
      connectionWindowSize: window,
    },
  });
  const listener = createServer((socket) => server.attach(socket));
  return {
    port: await listenTcp(listener),
    close() {
      server.destroy();
      listener.close();
    },
  };
}

function answer(stream: Stream, { path, overLimit }: RequestHeaders): StreamEvents {
  let length = 0;
  if (overLimit !== undefined) stream.respond(tooLarge, { endStream: true });
  if (path === '/early') stream.respond(ok, { endStream: true });
  return {
    data(bytes) {
      length += bytes.length;
      if (path !== '/hold') stream.consume(bytes.length);
    },
    end() {
      if (path === '/hold') return;
      stream.respond(ok);
      stream.end(undefined, bodyOf(path, length));
    },
    reset() {},
    failed() {},
    expire() {},
    sent() {},
    drain() {},
  };
}

/** Node's server, on nghttp2. */
export async function serveNode(): Promise<PlainServer> {
  const sessions = new Set<{ destroy(): void }>();
  const server = createNodeServer({
    settings: { maxConcurrentStreams, initialWindowSize: window, maxHeaderListSize },
  })
    .on('session', (session) => {
      sessions.add(session);
      session.on('close', () => sessions.delete(session));
    })
    .on('sessionError', () => {})
    .on('stream', (stream: ServerHttp2Stream, { ':path': path = '' }) => {
      answerOnNode(stream, path);
    });
  return {
    port: await listenTcp(server),
    close() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

function answerOnNode(stream: ServerHttp2Stream, path: string): void {
  let length = 0;
  stream.on('error', () => {});
  if (path === '/hold') return;
  stream
    .on('data', (bytes: Buffer) => {
      length += bytes.length;
    })
    .on('end', () => {
      if (path === '/early' || stream.destroyed || stream.aborted) return;
      stream.respond({ ':status': 200 });
      stream.end(bodyOf(path, length));
    });
  if (path === '/early') stream.respond({ ':status': 200 }, { endStream: true });
}

function bodyOf(path: string, length: number): Buffer {
  return /^\/\d+$/.test(path) ? Buffer.alloc(Number(path.slice(1)), 'x') : Buffer.from(`${length}`);
}

/** The program of test/foreign/x_net, which must be built. */
export async function serveGo(program: string): Promise<PlainServer> {
  const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [port] = await once(createInterface({ input: child.stdout }), 'line');
  return {
    port: Number(port),
    close() {
      child.stdin.end();
    },
  };
}
