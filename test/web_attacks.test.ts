import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { eventually, serve, type Running, type ServeOptions } from './support/harness.ts';

/** The direct engine, in plain text. */
function serveWeb(options: ServeOptions = {}): Promise<Running> {
  return serve({ engine: 'direct', tls: undefined, deps: { parrotInterval: 0 }, ...options });
}

function dial({ address }: Running): Socket {
  const [host, port] = address.split(':');
  return connect(Number(port), host).on('error', () => {});
}

const sayHello = '/helloworld.Greeter/SayHello';

interface Head {
  path?: string;
  fields?: readonly string[];
}

function head({ path = sayHello, fields = [] }: Head = {}): string {
  const all = ['host: x', 'content-type: application/json', ...fields];
  return `POST ${path} HTTP/1.1\r\n${all.join('\r\n')}\r\n\r\n`;
}

function request(body: string, about: Head = {}): string {
  const fields = [`content-length: ${Buffer.byteLength(body)}`, ...(about.fields ?? [])];
  return head({ ...about, fields }) + body;
}

/** Says it on a connection of its own, and gives all that is answered until that is closed. */
async function say(server: Running, said: string | Buffer): Promise<string> {
  const socket = dial(server);
  socket.write(said);
  return allOf(socket);
}

/** A reset may be all that is said of what nobody takes. */
async function allOf(socket: Socket): Promise<string> {
  let all = '';
  socket.on('data', (bytes) => (all += bytes.toString('latin1')));
  await new Promise((resolve) => socket.once('close', resolve));
  return all;
}

/** A call of Connect's with one request, whose responses are a stream. */
function streamRequest(path: string, message: string): Buffer {
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(message.length, 1);
  const start = head({ path, fields: [`content-length: ${5 + message.length}`] });
  const typed = start.replace('application/json', 'application/connect+json');
  return Buffer.concat([Buffer.from(typed), envelope, Buffer.from(message)]);
}

const close = ['connection: close'];

/** Nothing is held or open any more, and a call is served. */
async function isWell(server: Running): Promise<void> {
  await eventually('all to be over', () => {
    const { calls, streams, bufferedBytes } = server.counts();
    return calls === 0 && streams === 0 && (bufferedBytes ?? 0) < 16_384;
  });
  const answer = await say(server, request('{"name":"you"}', { fields: close }));
  assert.match(answer, /Hello, you!/);
}

test('a few pipelined requests are answered in their order', async () => {
  await using server = await serveWeb();
  const names = ['a', 'b', 'c'];

  const answer = await say(
    server,
    names
      .map((name) => request(JSON.stringify({ name }), name === 'c' ? { fields: close } : {}))
      .join(''),
  );

  assert.deepEqual(answer.match(/Hello, .!/g), ['Hello, a!', 'Hello, b!', 'Hello, c!']);
});

test('many pipelined requests cost their connection', async () => {
  await using server = await serveWeb();

  await say(server, request('{"name":"you"}').repeat(1000));

  assert.partialDeepStrictEqual(server.incidents, [{ reason: 'http_pipelining' }]);
  await isWell(server);
});

test('a header that is too large is answered 431', async () => {
  await using server = await serveWeb();

  const answer = await say(server, head({ fields: [`x: ${'x'.repeat(20_000)}`] }));

  assert.match(answer, /^HTTP\/1\.1 431 .*Header fields have at most 16384 bytes\n$/s);
  assert.partialDeepStrictEqual(server.incidents, [{ reason: 'http_431' }]);
});

for (const [name, said] of Object.entries({
  'two lengths': request('{}', { fields: ['transfer-encoding: chunked'] }),
  'two content lengths': request('{}', { fields: ['content-length: 3'] }),
  'a bad chunk': `${head({ fields: ['transfer-encoding: chunked'] })}zz\r\n`,
  'a space before a colon': request('{}', { fields: ['x : y'] }),
  'a bare carriage return': request('{}', { fields: ['x: a\rb'] }),
})) {
  test(`a request with ${name} is answered 400, and its connection closed`, async () => {
    await using server = await serveWeb();

    const answer = await say(server, said);

    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1);
    await isWell(server);
  });
}

test('an upgrade is passed over', async () => {
  await using server = await serveWeb();
  const fields = ['connection: upgrade, close', 'upgrade: h2c', 'http2-settings: AAMAAABkAAQAAP__'];

  const answer = await say(server, request('{"name":"you"}', { fields }));

  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n.*Hello, you!/s);
});

test('a body without a length is served', async () => {
  await using server = await serveWeb();
  const chunked = ['transfer-encoding: chunked', ...close];

  const answer = await say(server, `${head({ fields: chunked })}e\r\n{"name":"you"}\r\n0\r\n\r\n`);

  assert.match(answer, /Hello, you!/);
});

test('a body beyond the largest message is refused before it has come, and its connection closed', async () => {
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
  await isWell(server);
});

test('a body that inflates beyond the largest message is refused', async () => {
  await using server = await serveWeb({ maxMessageSize: 100_000 });
  const body = gzipSync(Buffer.alloc(50_000_000, ' '));
  const fields = [`content-length: ${body.length}`, 'content-encoding: gzip', ...close];

  const answer = await say(server, Buffer.concat([Buffer.from(head({ fields })), body]));

  assert.match(answer, /^HTTP\/1\.1 429 .*resource_exhausted/s);
});

for (const [name, [body, answer]] of Object.entries({
  'a hundred thousand levels': [`{"x":${'['.repeat(100_000)}`, /400 .*more than 100 levels/s],
  ['__proto__']: ['{"__proto__":{"name":"x"},"name":"you"}', /200 .*Hello, you!/s],
  'a constructor': ['{"constructor":{"prototype":1},"name":"you"}', /200 .*Hello, you!/s],
  'a key twice': ['{"name":"me","name":"you"}', /(200|400) /s],
  'a huge number': [`{"name":1e${'9'.repeat(1000)}}`, /400 .*invalid_argument/s],
  'a lone surrogate': ['{"name":"\\ud800"}', /(200|400) /s],
  'no text': ['\xff\xfe', /400 .*invalid_argument/s],
})) {
  test(`JSON with ${name} is no danger`, async () => {
    await using server = await serveWeb();

    const told = await say(server, request(String(body), { fields: close }));

    assert.match(told, answer instanceof RegExp ? answer : /never/);
    await isWell(server);
  });
}

test('JSON that would take more than there is is refused before it is read', async () => {
  await using server = await serveWeb({ limits: { maxBufferedBytes: 16 * 1024 * 1024 } });
  const body = `{"x":[${'[],'.repeat(1_000_000)}0]}`;

  const told = await say(server, request(body, { fields: close }));

  assert.match(told, /^HTTP\/1\.1 429 .*Cannot take this message: too much is buffered/s);
  await isWell(server);
});

test('a client that leaves in the middle of a body leaves nothing behind', async () => {
  await using server = await serveWeb();
  const socket = dial(server);
  socket.write(head({ fields: ['content-length: 1000000'] }) + ' '.repeat(300_000));
  await eventually('the body', () => (server.counts().bufferedBytes ?? 0) > 200_000);

  socket.destroy();

  await isWell(server);
});

const impatient = { keepaliveTime: 500, keepaliveTimeout: 500 };

test('a body that stands still costs its connection', async () => {
  await using server = await serveWeb({ limits: impatient });

  const answer = await say(server, head({ fields: ['content-length: 1000'] }));

  assert.equal(answer, '');
  assert.partialDeepStrictEqual(server.incidents, [{ reason: 'keepalive_timeout' }]);
  await isWell(server);
});

test('a response that nobody reads is bounded, and costs its connection', async () => {
  await using server = await serveWeb({ limits: impatient });
  const socket = dial(server).pause();
  const path = '/grpc.testing.TestService/StreamingOutputCall';
  const parameters = Array.from({ length: 100 }, () => ({ size: 100_000 }));
  const message = JSON.stringify({ responseParameters: parameters });
  let most = 0;

  socket.write(streamRequest(path, message));
  await eventually('the drop', () => {
    most = Math.max(most, server.counts().bufferedBytes ?? 0);
    return server.incidents.length > 0;
  });

  socket.destroy();
  assert.partialDeepStrictEqual(server.incidents, [{ reason: 'keepalive_timeout' }]);
  assert.ok(most < 2_000_000, `${most} bytes were held`);
  await isWell(server);
});

test('a connection that waits for its next request makes room for others', async () => {
  await using server = await serveWeb({ limits: { maxConnections: 2 } });
  const idle = dial(server);
  idle.write(request('{"name":"you"}'));
  await once(idle, 'data');
  const closed = once(idle, 'close');
  await sleep(2100);

  for (let n = 0; n < 3; n++) {
    assert.match(await say(server, request('{"name":"you"}', { fields: close })), /Hello, you!/);
    const other = dial(server);
    await once(other, 'connect');
  }

  await closed;
});

test('a shutdown closes connections that wait, and lets calls end', async () => {
  await using server = await serveWeb({ deps: { parrotInterval: 300 } });
  const idle = dial(server);
  idle.write(request('{"name":"you"}'));
  await once(idle, 'data');
  const idleClosed = once(idle, 'close');
  const busy = dial(server);
  busy.write(streamRequest('/greet.Greeter/ParrotSayHello', '{}'));
  const answered = allOf(busy);
  await eventually('the call', () => server.counts().calls === 1);

  await server.shutdown();

  await idleClosed;
  const answer = await answered;
  assert.equal(answer.match(/"message"/g)?.length, 3);
  assert.ok(answer.includes('\x02\0\0\0\x02{}'), 'it has its end');
});

test('a connection that has reached its age is closed behind its response', async () => {
  await using server = await serveWeb({ limits: { maxConnectionAge: 500 } });
  const idle = dial(server);
  idle.write(request('{"name":"you"}'));

  assert.match(await allOf(idle), /Hello, you!/);
});

test('a call ends UNAVAILABLE once the grace of its connection is over', async () => {
  const limits = { maxConnectionAge: 100, maxConnectionAgeGrace: 100 };
  await using server = await serveWeb({ limits, deps: { parrotInterval: 60_000 } });
  const socket = dial(server);
  socket.write(streamRequest('/greet.Greeter/ParrotSayHello', '{}'));

  assert.match(await allOf(socket), /"code":"unavailable"/);
  await isWell(server);
});

test('a client that is refused in the middle of its body may send the rest, and its next request', async () => {
  await using server = await serveWeb();
  const fields = ['content-length: 200000', 'content-encoding: none-such'];
  const socket = dial(server);
  const answered = allOf(socket);
  socket.write(head({ fields }));
  await server.log.line({ 'rpc.status_code': 'UNIMPLEMENTED' });

  socket.write(' '.repeat(200_000) + request('{"name":"you"}', { fields: close }));

  assert.match(await answered, /^HTTP\/1\.1 501 .*unimplemented.*HTTP\/1\.1 200 .*Hello, you!/s);
  await isWell(server);
});
