import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type Settings,
} from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { buffer } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import type { Http2ServerOptions } from '../src/engine/net/connections.ts';
import { echo, pattern, serveEcho } from './support/http2_echo.ts';
import { until } from './support/harness.ts';
import { createHttp2Server } from './support/engine.ts';

/** An echo server, and a client of node:http2. */
async function serve(t: TestContext, options: Partial<Http2ServerOptions> = {}) {
  const echoing = await serveEcho(createHttp2Server({ serve: echo, ...options }));
  t.after(() => echoing.close());
  return {
    ...echoing,
    dial: async (settings: Settings = {}): Promise<ClientHttp2Session> => {
      const session = connect(`http://127.0.0.1:${echoing.plain}`, { settings });
      t.after(() => session.destroy());
      session.on('error', () => {});
      await once(session, 'remoteSettings');
      return session;
    },
  };
}

/** Sends a body; returns the response. */
async function post(session: ClientHttp2Session, body: Buffer, trailers: unknown[] = []) {
  const stream = session.request({ ':method': 'POST', ':path': '/', 'x-trailers': 'x-trailers' });
  stream.on('trailers', (fields: unknown) => void trailers.push(fields));
  stream.end(body);
  return buffer(stream);
}

/** The length and hash of a body, in constant memory. */
async function digest(body: AsyncIterable<Buffer>) {
  const hash = createHash('sha256');
  let length = 0;
  for await (const part of body) {
    hash.update(part);
    length += part.length;
  }
  return { length, sha256: hash.digest('hex') };
}

/** So many bytes of the echo's pattern, in parts. */
function* patternOf(length: number): Generator<Buffer> {
  for (let at = 0; at < length; at += pattern.length) yield pattern.subarray(0, length - at);
}

test('bodies of 0 bytes to 1 MB are echoed unchanged, with trailers', async (t) => {
  const { dial } = await serve(t);
  const session = await dial();

  for (const size of [0, 1, 16_383, 16_384, 16_385, 65_536, 1_000_000]) {
    const body = Buffer.alloc(size, `${size} `);
    const trailers: unknown[] = [];
    const echoed = await post(session, body, trailers);
    assert.ok(echoed.equals(body), `${size} bytes`);
    assert.partialDeepStrictEqual(trailers, [{ 'x-end': 'yes' }]);
  }
});

test('bodies of 100 MB are sent and received unchanged', async (t) => {
  const { dial, server } = await serve(t);
  const session = await dial();
  const length = 100_000_000;
  const expected = await digest(Readable.from(patternOf(length)));

  const got = await digest(session.request({ ':path': `/${length}` }));
  const stream = session.request({ ':method': 'POST', ':path': '/' });
  const [sent] = await Promise.all([
    digest(stream),
    pipeline(Readable.from(patternOf(length)), stream),
  ]);

  assert.deepEqual([got, sent], [expected, expected]);
  assert.ok(server.bufferedBytes < 1e6, `${server.bufferedBytes} bytes`);
});

test('informational responses are sent before the final one', async (t) => {
  const { dial } = await serve(t);
  const session = await dial();

  const stream = session.request({ ':path': '/', 'x-informational': '3' });
  const told: unknown[] = [];
  stream.on('headers', (fields: IncomingHttpHeaders & IncomingHttpStatusHeader) => {
    told.push([fields[':status'], fields['x-number']]);
  });
  stream.on('response', (fields) => told.push(fields[':status']));

  assert.equal((await buffer(stream)).length, 5);
  assert.deepEqual(told, [[103, '0'], [103, '1'], [103, '2'], 200]);
});

test('a client with a window of 1 byte, or of 2^31 - 1, receives every byte', async (t) => {
  const { dial } = await serve(t);

  for (const [initialWindowSize, size] of [
    [1, 500],
    [2 ** 31 - 1, 1_000_000],
  ] as const) {
    const body = Buffer.alloc(size, 'abc');
    assert.ok((await post(await dial({ initialWindowSize }), body)).equals(body));
  }
});

test('a client with a dynamic table of 0 decodes every response', async (t) => {
  const { dial } = await serve(t);
  const session = await dial({ headerTableSize: 0 });

  for (const text of ['first', 'second']) {
    const trailers: unknown[] = [];
    assert.equal(String(await post(session, Buffer.from(text), trailers)), text);
    assert.partialDeepStrictEqual(trailers, [{ 'x-end': 'yes' }]);
  }
});

test('1,000 concurrent streams on one connection each get their own response', async (t) => {
  const { dial, server } = await serve(t);
  const session = await dial();
  const bodies = Array.from({ length: 1000 }, (_, i) => Buffer.alloc(i * 10, `${i} `));

  const echoed = await Promise.all(bodies.map((body) => post(session, body)));

  echoed.forEach((body, i) => assert.ok(body.equals(bodies[i] ?? assert.fail()), `stream ${i}`));
  await until(() => server.openStreams === 0);
});

test('a response to a reader that pauses stops after a limited number of bytes', async (t) => {
  const { dial, server } = await serve(t);
  const session = await dial({ initialWindowSize: 0 });
  const stream = session.request({ ':method': 'POST', ':path': '/' });

  let accepted = 0;
  for (let still = 0; still < 50;) {
    const before = accepted;
    if (stream.writableLength < 100_000) {
      stream.write(Buffer.alloc(10_000));
      accepted += 10_000;
    }
    await new Promise((resolve) => session.ping(resolve));
    still = accepted === before ? still + 1 : 0;
  }

  assert.ok(accepted < 1_000_000, `${accepted} bytes`);
  assert.equal(server.openStreams, 1);
  session.destroy();
  await until(() => server.openConnections === 0);
});

test('shutdown() completes open requests, and then closes every connection', async (t) => {
  const { dial, server } = await serve(t);
  const session = await dial();
  const stream = session.request({ ':method': 'POST', ':path': '/' });
  stream.write('before');
  await once(stream, 'response');

  const done = server.shutdown();
  await once(session, 'goaway');
  stream.end(' after');

  assert.equal(String(await buffer(stream)), 'before after');
  await done;
  assert.equal(server.openConnections, 0);
});

test('connections above the limit are closed if none is idle, and the others continue', async (t) => {
  const { dial, plain, server } = await serve(t, { maxConnections: 1 });
  const session = await dial();
  const open = session.request({ ':method': 'POST' }, { endStream: false });
  await once(open, 'response');

  const second = connectTcp(plain, '127.0.0.1').on('error', () => {});
  await once(second, 'close');

  assert.equal(String(await post(session, Buffer.from('x'))), 'x');
  assert.equal(server.openConnections, 1);
});

test('a client that does not speak HTTP/2, or disconnects, is released', async (t) => {
  const { dial, plain, server, tls } = await serve(t);
  const session = await dial();
  for (const said of ['GET / HTTP/1.1\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxx', '']) {
    for (const port of [plain, tls]) {
      const socket = connectTcp(port, '127.0.0.1').on('error', () => {});
      socket.end(said);
      socket.resume();
      await once(socket, 'close');
    }
  }

  assert.equal(String(await post(session, Buffer.from('x'))), 'x');
  session.destroy();
  await until(() => server.openConnections === 0);
});

test('a silent connection gets a PING, and is closed without an answer', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let now = 0;
  const { plain, server } = await serve(t, { now: () => now });
  const silent = connectTcp(plain, '127.0.0.1').on('error', () => {});
  const halfOpen = connectTcp(plain, '127.0.0.1').on('error', () => {});
  halfOpen.write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1'));
  let heard = Buffer.alloc(0);
  halfOpen.on('data', (bytes: Buffer) => (heard = Buffer.concat([heard, bytes])));
  const closed = once(silent.resume(), 'close');
  await until(() => server.openConnections === 2 && heard.length > 40);

  t.mock.timers.tick(1000);
  now = 10_000;
  t.mock.timers.tick(1000);
  await closed;
  const before = heard.length;
  now = 60_000;
  t.mock.timers.tick(1000);
  await until(() => heard.length > before);
  now = 80_000;
  t.mock.timers.tick(1000);
  await until(() => server.openConnections === 0);

  // A PING and nothing else.
  assert.equal(heard.subarray(before).toString('hex'), `0000080600${'00'.repeat(12)}`);
});
