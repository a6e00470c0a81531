import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { pino } from 'pino';
import { eventually, memoryLog } from '../../test/support/harness.ts';
import { createAdmin } from './admin.ts';

/** An admin port that is closed at the end of the test, with short times unless `times` is set. */
async function open(options: Partial<Parameters<typeof createAdmin>[0]> = {}) {
  const log = memoryLog();
  const admin = createAdmin({
    log: pino({ base: null }, log),
    isReady: () => true,
    loadMetrics: async () => ({
      contentType: 'text/plain; version=0.0.4',
      text: async () => 'a 1\n',
    }),
    ...options,
  });
  const port = (await admin.listen({ host: '127.0.0.1', port: 0 })) ?? 0;
  return {
    log,
    admin,
    port,
    get: (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, init),
    [Symbol.asyncDispose]: () => admin.close(),
  };
}

const livez = 'GET /livez HTTP/1.1\r\nhost: a\r\n\r\n';

/** What the server answers to these bytes, until it closes the connection. */
async function hears(port: number, said: string): Promise<string> {
  let heard = '';
  const socket = connect(port, '127.0.0.1');
  socket
    .on('error', () => {})
    .on('data', (chunk: Buffer) => (heard += chunk.toString()))
    .write(said);
  await new Promise((resolve) => socket.on('close', resolve));
  return heard;
}

test('createAdmin() answers /metrics, /livez and /readyz, to GET and HEAD', async () => {
  await using port = await open();

  for (const [path, type, body] of [
    ['/metrics', 'text/plain; version=0.0.4', 'a 1\n'],
    ['/livez', 'text/plain; charset=utf-8', 'ok\n'],
    ['/readyz?verbose', 'text/plain; charset=utf-8', 'ok\n'],
  ] as const) {
    const answer = await port.get(path);
    const head = await port.get(path, { method: 'HEAD' });

    assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, type]);
    assert.equal(await answer.text(), body);
    assert.deepEqual([head.status, head.headers.get('content-type')], [200, type]);
    assert.equal(head.headers.get('content-length'), String(body.length));
  }
});

test('createAdmin() answers 404 to other paths and 405 to other methods', async () => {
  await using port = await open();

  const [missing, root, post] = await Promise.all([
    port.get('/metrics/x'),
    port.get('/'),
    port.get('/metrics', { method: 'POST', body: 'x'.repeat(1_000_000) }),
  ]);

  assert.deepEqual([missing.status, root.status, post.status], [404, 404, 405]);
  assert.equal(post.headers.get('allow'), 'GET, HEAD');
});

test('createAdmin() answers /readyz with the current state', async () => {
  let isReady = false;
  await using port = await open({ isReady: () => isReady });

  const before = await port.get('/readyz');
  isReady = true;
  const after = await port.get('/readyz');

  assert.deepEqual([before.status, await before.text()], [503, 'not ready\n']);
  assert.equal(after.status, 200);
});

test('createAdmin() reads the metrics once for concurrent scrapes', async () => {
  let reads = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  await using port = await open({
    loadMetrics: async () => ({
      contentType: 'text/plain',
      text: () => promise.then(() => `a ${++reads}\n`),
    }),
  });
  const bodyOf = async (answer: Promise<Response>) => (await answer).text();

  const asked = [port.get('/metrics'), port.get('/metrics')];
  // The earlier requests have arrived when this one is answered.
  await port.get('/livez');
  resolve();
  const bodies = await Promise.all(asked.map(bodyOf));
  const later = await bodyOf(port.get('/metrics'));

  assert.deepEqual([...bodies, later], ['a 1\n', 'a 1\n', 'a 2\n']);
});

test('createAdmin() answers 500 if metrics cannot be read, and logs the reason', async () => {
  await using port = await open({ loadMetrics: () => Promise.reject(new Error('no such file')) });

  const { status } = await port.get('/metrics');

  assert.equal(status, 500);
  await port.log.line({ msg: 'metrics failed', level: 50 });
});

test('createAdmin() closes a connection whose request is not complete in time', async () => {
  await using port = await open({ times: { connectionTimeoutMs: 50 } });
  const halves = ['', 'GET /metrics HTTP/1.1\r\nhost: a\r\nx: ', 'POST / HTTP/1.1\r\nhost: a\r\n'];

  const heard = await Promise.all(halves.map((half) => hears(port.port, half)));

  assert.deepEqual(heard, ['', '', '']);
});

test('createAdmin() does not wait for a body', async () => {
  await using port = await open();
  const head = 'POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n';

  const heard = await hears(port.port, `${head}x`);

  assert.match(heard, /^HTTP\/1\.1 405 /);
});

test('createAdmin() answers one request per connection, and closes it', async () => {
  await using port = await open();

  const heard = await hears(port.port, livez);

  assert.match(heard, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok\n$/);
});

/** Opens several connections one after the other, and sends bytes on each. */
async function crowd(port: number, count: number, said: string) {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    socket.write(said);
    sockets.push(socket);
  }
  return sockets;
}

test('createAdmin() with 50 connections closes the one that has been idle longest in favour of a new one', async () => {
  const incidents: { reason: string; peer: string }[] = [];
  await using port = await open({ onIncident: (event) => void incidents.push(event) });
  const sockets = await crowd(port.port, 50, 'GET /livez HTTP/1.1\r\n');
  const [first, second] = sockets;
  const peer = `127.0.0.1:${first?.localPort}`;

  const heard = await hears(port.port, livez);

  assert.match(heard, /^HTTP\/1\.1 200 /);
  assert.partialDeepStrictEqual(incidents, [{ reason: 'evicted', peer }]);
  await eventually('the end of the first', () => first?.closed === true);
  assert.equal(second?.closed, false);
  for (const socket of sockets) socket.destroy();
});

test('createAdmin() answers while 50 idle connections are reopened again and again', async () => {
  await using port = await open();
  const sockets: Socket[] = [];

  for (let round = 0; round < 5; round++) {
    sockets.push(...(await crowd(port.port, 50, '')));
    assert.match(await hears(port.port, livez), /^HTTP\/1\.1 200 /);
  }

  for (const socket of sockets) socket.destroy();
});

test('createAdmin() refuses a new connection while 50 wait for their responses', async () => {
  const incidents: { reason: string }[] = [];
  const { promise, resolve } = Promise.withResolvers<string>();
  await using port = await open({
    onIncident: (event) => void incidents.push(event),
    loadMetrics: async () => ({ contentType: 'text/plain', text: () => promise }),
  });
  // The 100 response shows that the request is being handled.
  const asking = 'GET /metrics HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n';
  const sockets = await crowd(port.port, 50, asking);
  await Promise.all(sockets.map((socket) => once(socket, 'data')));

  const heard = await hears(port.port, livez);
  resolve('a 1\n');
  const answers = await Promise.all(sockets.map((socket) => text(socket)));

  assert.equal(heard, '');
  assert.partialDeepStrictEqual(incidents, [{ reason: 'refused' }]);
  for (const answer of answers) assert.match(answer, /a 1\n$/);
});

test('createAdmin() closes a connection that does not read its response', async () => {
  const asked = Promise.withResolvers<void>();
  await using port = await open({
    times: { connectionTimeoutMs: 1000, drainTimeoutMs: 60_000 },
    loadMetrics: async () => ({
      contentType: 'text/plain',
      text: async () => (asked.resolve(), 'x'.repeat(50_000_000)),
    }),
  });
  const socket = connect(port.port, '127.0.0.1').pause();
  socket.write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n');
  await asked.promise;

  // close() resolves when no connection is left.
  await port.admin.close();
  socket.destroy();
});

test('createAdmin() rejects headers that are too large, and other protocols', async () => {
  await using port = await open();

  const large = await hears(port.port, `GET / HTTP/1.1\r\nx: ${'x'.repeat(9000)}\r\n\r\n`);
  const http2 = await hears(port.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

  assert.match(large, /^HTTP\/1\.1 431 /);
  assert.match(http2, /^HTTP\/1\.1 400 /);
});

test('createAdmin() closes after a pending response, and despite an incomplete request', async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const asked = Promise.withResolvers<void>();
  const port = await open({
    times: { drainTimeoutMs: 1000 },
    loadMetrics: async () => ({
      contentType: 'text/plain',
      text: () => (asked.resolve(), promise),
    }),
  });
  const half = connect(port.port, '127.0.0.1');
  half.on('error', () => {}).write('GET /metrics HTTP/1.1\r\n');
  const answer = port.get('/metrics');
  await asked.promise;

  const closed = port.admin.close();
  resolve('a 1\n');

  assert.equal(await (await answer).text(), 'a 1\n');
  await Promise.all([closed, once(half, 'close')]);
});
