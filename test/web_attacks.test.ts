import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { eventually, serve, type Running, type ServeOptions } from './support/harness.ts';
import { scriptPaths } from './support/script.ts';

/** Serves with the direct engine, without TLS. */
function serveWeb(options: ServeOptions = {}): Promise<Running> {
  return serve({ engine: 'direct', tls: false, ...options });
}

function dial({ address }: Running): Socket {
  const [host, port] = address.split(':');
  return connect(Number(port), host).on('error', () => {});
}

/** A request for a reply of one byte, and the payload of that. */
const one = '{"replies":[{"size":1}]}';
const payload = /"payload":"AA=="/;

interface Head {
  path?: string;
  fields?: readonly string[];
}

function head({ path = scriptPaths.unary, fields = [] }: Head = {}): string {
  const all = ['host: x', 'content-type: application/json', ...fields];
  return `POST ${path} HTTP/1.1\r\n${all.join('\r\n')}\r\n\r\n`;
}

function request(body: string, about: Head = {}): string {
  const fields = [`content-length: ${Buffer.byteLength(body)}`, ...(about.fields ?? [])];
  return head({ ...about, fields }) + body;
}

/** Sends bytes on a new connection, and returns everything received until it is closed. */
async function exchange(server: Running, sent: string | Buffer): Promise<string> {
  const socket = dial(server);
  socket.write(sent);
  return allOf(socket);
}

/** Returns everything received until the connection is closed, also by a TCP RST. */
async function allOf(socket: Socket): Promise<string> {
  let all = '';
  socket.on('data', (bytes) => (all += bytes.toString('latin1')));
  await new Promise((resolve) => socket.once('close', resolve));
  return all;
}

/** A Connect request for a server-streaming method. */
function streamRequest(path: string, message: string): Buffer {
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(message.length, 1);
  const start = head({ path, fields: [`content-length: ${5 + message.length}`] });
  const typed = start.replace('application/json', 'application/connect+json');
  return Buffer.concat([Buffer.from(typed), envelope, Buffer.from(message)]);
}

const close = ['connection: close'];

/** Waits until nothing is open or buffered, and checks that a call is served. */
async function checkRecovered(server: Running): Promise<void> {
  await eventually('the release of all memory', () => {
    const { calls, streams, bufferedBytes } = server.counts();
    return calls === 0 && streams === 0 && (bufferedBytes ?? 0) < 16_384;
  });
  const answer = await exchange(server, request(one, { fields: close }));
  assert.match(answer, payload);
}

test('pipelined requests are answered in order', async () => {
  await using server = await serveWeb();
  const sizes = [1, 2, 3];

  const answer = await exchange(
    server,
    sizes
      .map((size) =>
        request(JSON.stringify({ replies: [{ size }] }), size === 3 ? { fields: close } : {}),
      )
      .join(''),
  );

  assert.deepEqual(answer.match(/(?<="payload":")[^"]*/g), ['AA==', 'AAA=', 'AAAA']);
});

test('a connection with too many pipelined requests is closed', async () => {
  await using server = await serveWeb();

  await exchange(server, request(one).repeat(1000));

  assert.partialDeepStrictEqual(server.incidents, [{ reason: 'http_pipelining' }]);
  await checkRecovered(server);
});

test('a header list that is too large is answered with 431', async () => {
  await using server = await serveWeb();

  const answer = await exchange(server, head({ fields: [`x: ${'x'.repeat(20_000)}`] }));

  assert.match(
    answer,
    /^HTTP\/1\.1 431 .*Cannot accept header fields of more than 16384 bytes\n$/s,
  );
  assert.partialDeepStrictEqual(server.incidents, [{ reason: 'http_431' }]);
});

for (const [name, sent] of Object.entries({
  'two lengths': request(one, { fields: ['transfer-encoding: chunked'] }),
  'two content lengths': request(one, { fields: ['content-length: 3'] }),
  'a bad chunk': `${head({ fields: ['transfer-encoding: chunked'] })}zz\r\n`,
  'a space before a colon': request(one, { fields: ['x : y'] }),
  'a bare carriage return': request(one, { fields: ['x: a\rb'] }),
})) {
  test(`a request with ${name} is answered with 400, and its connection is closed`, async () => {
    await using server = await serveWeb();

    const answer = await exchange(server, sent);

    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1);
    await checkRecovered(server);
  });
}

test('an upgrade to h2c is ignored', async () => {
  await using server = await serveWeb();
  const fields = ['connection: upgrade, close', 'upgrade: h2c', 'http2-settings: AAMAAABkAAQAAP__'];

  const answer = await exchange(server, request(one, { fields }));

  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n.*AA==/s);
});

test('a chunked body is served', async () => {
  await using server = await serveWeb();
  const chunked = ['transfer-encoding: chunked', ...close];

  const answer = await exchange(
    server,
    `${head({ fields: chunked })}${one.length.toString(16)}\r\n${one}\r\n0\r\n\r\n`,
  );

  assert.match(answer, payload);
});

test('a body above the maximum message size is refused before it is received, and its connection is closed', async () => {
  await using server = await serveWeb({ maxMessageSize: 100_000 });
  const socket = dial(server);
  socket.write(head({ fields: ['content-length: 1000000000'] }));
  const answered = allOf(socket);
  const send = () => {
    while (socket.writable && socket.write(Buffer.alloc(65_536, ' ')));
  };
  socket.on('drain', send);
  send();

  assert.match(await answered, /^HTTP\/1\.1 429/);
  await checkRecovered(server);
});

test('a body that decompresses to more than the maximum message size is refused', async () => {
  await using server = await serveWeb({ maxMessageSize: 100_000 });
  const body = gzipSync(Buffer.alloc(50_000_000, ' '));
  const fields = [`content-length: ${body.length}`, 'content-encoding: gzip', ...close];

  const answer = await exchange(server, Buffer.concat([Buffer.from(head({ fields })), body]));

  assert.match(answer, /^HTTP\/1\.1 429 .*resource_exhausted/s);
});

for (const [name, [body, answer]] of Object.entries({
  'a hundred thousand levels': [`{"x":${'['.repeat(100_000)}`, /400 .*more than 100 levels/s],
  ['__proto__']: ['{"__proto__":{"replies":[]},"replies":[{"size":1}]}', /200 .*AA==/s],
  'a constructor': ['{"constructor":{"prototype":1},"replies":[{"size":1}]}', /200 .*AA==/s],
  'a key twice': ['{"replies":[],"replies":[]}', /400 .*the same key twice/s],
  'a key twice, deep': ['{"x":[{"a":{"b":1,"\\u0062":2}}]}', /400 .*the same key twice/s],
  'one key in many objects': [
    '{"x":[{"a":{"a":1}},{"a":2}],"replies":[{"size":1}]}',
    /200 .*AA==/s,
  ],
  'a huge number': [`{"replies":[{"size":1e${'9'.repeat(1000)}}]}`, /400 .*invalid_argument/s],
  'a lone surrogate': ['{"counts":{"\\ud800":1}}', /(200|400) /s],
  'invalid UTF-8': ['\xff\xfe', /400 .*invalid_argument/s],
})) {
  test(`JSON with ${name} does no harm`, async () => {
    await using server = await serveWeb();

    const told = await exchange(server, request(String(body), { fields: close }));

    assert.match(told, answer instanceof RegExp ? answer : /never/);
    await checkRecovered(server);
  });
}

test('JSON that would need more memory than the limit is refused before it is decoded', async () => {
  await using server = await serveWeb({ limits: { maxBufferedBytes: 4 * 1024 * 1024 } });
  const body = JSON.stringify({ x: 'x'.repeat(3 * 1024 * 1024) });

  const told = await exchange(server, request(body, { fields: close }));

  assert.match(told, /^HTTP\/1\.1 429 .*Cannot accept this message: too many bytes are buffered/s);
  await checkRecovered(server);
});

test('JSON with more values than a turn of the event loop has time for is refused', async () => {
  await using server = await serveWeb();
  const body = `{"x":[${'0,'.repeat(10_000)}0]}`;

  const told = await exchange(server, request(body, { fields: close }));

  assert.match(told, /^HTTP\/1\.1 429 .*Cannot accept JSON of more than 10000 values/s);
  await checkRecovered(server);
});

test('the case of a content type does not matter', async () => {
  await using server = await serveWeb();
  const typed = (type: string) =>
    exchange(
      server,
      request('{"replies":[{"size":3}]}', { fields: close }).replace('application/json', type),
    );

  const [usual, unusual] = await Promise.all([
    typed('application/json'),
    typed('Application/JSON'),
  ]);

  const bodyOf = (answer: string) => answer.slice(answer.indexOf('\r\n\r\n'));
  assert.match(usual, /"payload":"AAAA"/);
  assert.equal(bodyOf(unusual), bodyOf(usual));
});

test('a large body waits for memory, and is served when there is enough', async () => {
  await using server = await serveWeb({ limits: { maxBufferedBytes: 16 * 1024 * 1024 } });
  const large = request(JSON.stringify({ fillUsername: true, x: 'x'.repeat(2_000_000) }), {
    fields: close,
  });
  const first = dial(server);
  first.write(large.slice(0, -10));
  await eventually('an admitted body', () => (server.counts().bufferedBytes ?? 0) > 8_000_000);

  const others = [1, 2, 3].map(() => exchange(server, large));
  await eventually('waiting bodies', () => server.counts().waitingMessages === 3);
  const waiting = server.counts().bufferedBytes ?? 0;
  first.write(large.slice(-10));
  const answers = await Promise.all([allOf(first), ...others]);

  assert.ok(waiting < 12_000_000, `${waiting} bytes`);
  for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 200 /);
  await checkRecovered(server);
});

test('a client that leaves in the middle of a body leaves no memory charged', async () => {
  await using server = await serveWeb();
  const socket = dial(server);
  socket.write(head({ fields: ['content-length: 1000000'] }) + ' '.repeat(300_000));
  await eventually('the body', () => (server.counts().bufferedBytes ?? 0) > 200_000);

  socket.destroy();

  await checkRecovered(server);
  await server.log.line({ msg: 'call ended', 'rpc.status_code': 'CANCELLED' });
});

test('a client that leaves while its body waits for memory is forgotten', async () => {
  await using server = await serveWeb({ limits: { maxBufferedBytes: 16 * 1024 * 1024 } });
  const start = head({ fields: ['content-length: 2000000'] }) + ' '.repeat(1_000_000);
  const sockets = [1, 2, 3].map(() => dial(server));
  for (const socket of sockets) socket.write(start);
  await eventually('waiting bodies', () => server.counts().waitingMessages === 2);

  for (const socket of sockets) socket.resetAndDestroy();

  await checkRecovered(server);
  assert.equal(server.counts().waitingMessages, 0);
});

const impatient = { keepaliveTime: 500, keepaliveTimeout: 500 };

test('a connection whose request body makes no progress is closed', async () => {
  await using server = await serveWeb({ limits: impatient });

  const answer = await exchange(server, head({ fields: ['content-length: 1000'] }));

  assert.equal(answer, '');
  assert.partialDeepStrictEqual(server.incidents, [{ reason: 'keepalive_timeout' }]);
  await checkRecovered(server);
});

test('a response that the client does not read is bounded, and its connection is closed', async () => {
  await using server = await serveWeb({ limits: impatient });
  const socket = dial(server).pause();
  const replies = Array.from({ length: 100 }, () => ({ size: 100_000 }));
  const message = JSON.stringify({ replies });
  let max = 0;

  socket.write(streamRequest(scriptPaths.serverStream, message));
  await eventually('the incident', () => {
    max = Math.max(max, server.counts().bufferedBytes ?? 0);
    return server.incidents.length > 0;
  });

  socket.destroy();
  assert.partialDeepStrictEqual(server.incidents, [{ reason: 'keepalive_timeout' }]);
  assert.ok(max < 2_000_000, `${max} bytes were buffered`);
  await checkRecovered(server);
});

test('an idle connection is closed in favour of a new one', async () => {
  await using server = await serveWeb({ limits: { maxConnections: 2 } });
  const idle = dial(server);
  idle.write(request(one));
  await once(idle, 'data');
  const closed = once(idle, 'close');
  await sleep(2100);

  for (let n = 0; n < 3; n++) {
    assert.match(await exchange(server, request(one, { fields: close })), payload);
    const other = dial(server);
    await once(other, 'connect');
  }

  await closed;
});

test('a shutdown closes idle connections, and lets open calls finish', async () => {
  await using server = await serveWeb();
  const idle = dial(server);
  idle.write(request(one));
  await once(idle, 'data');
  const idleClosed = once(idle, 'close');
  const busy = dial(server);
  const replies = [1, 2, 3].map((size) => ({ size, pauseMs: 300 }));
  busy.write(streamRequest(scriptPaths.serverStream, JSON.stringify({ replies })));
  const answered = allOf(busy);
  await eventually('the call', () => server.counts().calls === 1);

  await server.shutdown();

  await idleClosed;
  const answer = await answered;
  assert.equal(answer.match(/"payload"/g)?.length, 3);
  assert.ok(answer.includes('\x02\0\0\0\x02{}'), 'the end of the stream');
});

test('a connection that has reached its maximum age is closed after its response', async () => {
  await using server = await serveWeb({ limits: { maxConnectionAge: 500 } });
  const idle = dial(server);
  idle.write(request(one));

  assert.match(await allOf(idle), payload);
});

test('a call ends with UNAVAILABLE after the grace period of its connection', async () => {
  const limits = { maxConnectionAge: 100, maxConnectionAgeGrace: 100 };
  await using server = await serveWeb({ limits });
  const socket = dial(server);
  socket.write(streamRequest(scriptPaths.serverStream, '{"replies":[{"pauseMs":60000}]}'));

  assert.match(await allOf(socket), /"code":"unavailable"/);
  await checkRecovered(server);
});

test('a call whose deadline passes before its body has arrived is answered, logged and counted once', async () => {
  await using server = await serveWeb();
  const timed = head({ fields: ['content-length: 7', 'grpc-timeout: 50m', ...close] });
  const socket = dial(server);
  const answered = allOf(socket);
  socket.write(timed.replace('application/json', 'application/grpc-web+json'));
  socket.write('\0\0\0\0\x02');
  await server.log.line({ 'rpc.status_code': 'DEADLINE_EXCEEDED' });

  socket.write('{}');

  assert.match(await answered, /^HTTP\/1\.1 200 .*grpc-status: 4\r\n/s);
  assert.equal(server.calls.protocols['grpc-web'], 1);
});

test('a client that is refused in the middle of its body can send the rest, and its next request', async () => {
  await using server = await serveWeb();
  const fields = ['content-length: 200000', 'content-encoding: none-such'];
  const socket = dial(server);
  const answered = allOf(socket);
  socket.write(head({ fields }));
  await server.log.line({ 'rpc.status_code': 'UNIMPLEMENTED' });

  socket.write(' '.repeat(200_000) + request(one, { fields: close }));

  assert.match(await answered, /^HTTP\/1\.1 501 .*unimplemented.*HTTP\/1\.1 200 .*AA==/s);
  await checkRecovered(server);
});

test('the body of a request that was refused is freed as it arrives', async () => {
  await using server = await serveWeb();
  const size = 4_000_000;
  const fields = [`content-length: ${size}`, 'content-encoding: none-such'];
  const all = [Buffer.from(head({ fields })), Buffer.alloc(size, ' ')];
  const refused = Buffer.concat([...all, Buffer.from(request(one, { fields: close }))]);
  const before = process.memoryUsage().arrayBuffers;
  let most = before;
  const watch = () => (most = Math.max(most, process.memoryUsage().arrayBuffers));

  for (let count = 0; count < 10; count++) {
    const socket = dial(server);
    socket.write(refused);
    const timer = setInterval(watch, 1);
    const answer = await allOf(socket);
    clearInterval(timer);
    assert.match(answer, /^HTTP\/1\.1 501 .*HTTP\/1\.1 200 /s);
  }

  assert.ok(most - before < size, `${most - before} bytes`);
  await checkRecovered(server);
});
