import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import * as http from 'node:http';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import {
  createConnectTransport as createBrowserConnect,
  createGrpcWebTransport as createBrowserGrpcWeb,
} from '@connectrpc/connect-web';
import { ScriptReply } from './echo/gen/echo.ts';
import { RetryInfo } from '../src/gen/google/rpc/error_details.ts';
import { localCertificate } from './support/certificate.ts';
import { eventually, serve, type Running, type ServeOptions } from './support/harness.ts';
import { ping, scriptPaths, scriptRequest } from './support/script.ts';
import { serveTraced } from './support/traced.ts';
import { callOver } from './support/web_client.ts';

/** Serves with the direct engine, without TLS. */
function serveWeb(options: ServeOptions = {}): Promise<Running> {
  return serve({ engine: 'direct', tls: false, ...options });
}

const unaryCall = scriptPaths.unary;
const request = { replies: [{ size: 1 }] };
const reply = { payload: 'AA==' };
/** A stream of three responses, of one to three bytes. */
const stream = { replies: [1, 2, 3].map((size) => ({ size })) };
/** A stream whose first response comes after a minute. */
const slowStream = { replies: [{ size: 1, pauseMs: 60_000 }] };
const json = { 'content-type': 'application/json' };

function post(address: string, body: string, headers: Record<string, string> = json) {
  return fetch(`http://${address}${unaryCall}`, { method: 'POST', body, headers });
}

test('curl calls a method with JSON, over HTTP/1.1 and HTTP/2', async () => {
  await using server = await serveWeb();
  const data = ['-d', JSON.stringify(request), '-H', 'content-type: application/json'];
  const curl = (...args: string[]) =>
    promisify(execFile)('curl', ['-sS', ...data, ...args, `http://${server.address}${unaryCall}`]);

  const overHttp1 = await curl('--http1.1');
  const overHttp2 = await curl('--http2-prior-knowledge');

  assert.equal(overHttp1.stdout, JSON.stringify(reply));
  assert.equal(overHttp2.stdout, JSON.stringify(reply));
});

test('a body without a content type of calls is answered with 415 and the curl option to add', async () => {
  await using server = await serveWeb();

  const response = await post(server.address, '{}', {
    'content-type': 'application/x-www-form-urlencoded',
  });

  assert.equal(response.status, 415);
  assert.equal(
    await response.text(),
    "Cannot tell the format of the body: add -H 'content-type: application/json'\n",
  );
});

test('invalid JSON is answered with 400, and is not logged', async () => {
  await using server = await serveWeb();

  const response = await post(server.address, '{"payload": secret}');

  assert.equal(response.status, 400);
  const { code, message } = Object(await response.json());
  assert.equal(code, 'invalid_argument');
  assert.match(message, /^cannot decode message echo.ScriptRequest from JSON/);
  const line = await server.log.line({ 'rpc.status_code': 'INVALID_ARGUMENT' });
  assert.equal(line['reason'], 'Cannot read the request');
  assert.doesNotMatch(JSON.stringify(server.log.lines), /secret/);
});

test('an unknown method is answered with 404 and the nearest method', async () => {
  await using server = await serveWeb();

  const response = await fetch(`http://${server.address}/echo.Script/Unar`, {
    method: 'POST',
    body: '{}',
    headers: json,
  });

  assert.equal(response.status, 404);
  assert.deepEqual(await response.json(), {
    code: 'unimplemented',
    message: `Cannot find method /echo.Script/Unar; the nearest is ${unaryCall}`,
  });
});

test('a path that goes on after the method is answered with 404', async () => {
  await using server = await serveWeb();

  const response = await fetch(`http://${server.address}${unaryCall}/more`, {
    method: 'POST',
    body: '{}',
    headers: json,
  });

  assert.equal(response.status, 404);
});

test('protobuf that cannot be decoded is answered with 400', async () => {
  await using server = await serveWeb();

  const response = await post(server.address, 'no protobuf', {
    'content-type': 'application/proto',
  });

  assert.equal(response.status, 400);
  assert.equal(Object(await response.json()).code, 'invalid_argument');
  await server.log.line({ 'rpc.status_code': 'INVALID_ARGUMENT' });
});

for (const [name, value] of [
  ['grpc-timeout', '1000H'],
  ['connect-timeout-ms', '9999999999'],
] as const) {
  test(`a call with ${name}: ${value} sets no timer that is too long for Node`, async (t) => {
    await using server = await serveWeb();
    const warnings: string[] = [];
    const onWarning = (warning: Error) => void warnings.push(warning.message);
    process.on('warning', onWarning);
    t.after(() => process.off('warning', onWarning));
    const isConnect = name === 'connect-timeout-ms';
    const type = isConnect ? 'application/connect+proto' : 'application/grpc-web+proto';

    const response = await fetch(`http://${server.address}${scriptPaths.serverStream}`, {
      method: 'POST',
      body: scriptRequest(stream),
      headers: { 'content-type': type, [name]: value },
    });

    await response.arrayBuffer();
    await server.log.line({ 'rpc.status_code': 'OK' });
    assert.deepEqual(warnings, []);
  });
}

test('the upload of a Connect unary call counts against its timeout', async () => {
  await using server = await serveWeb();
  const call = http.request(`http://${server.address}${scriptPaths.unary}`, {
    method: 'POST',
    headers: { ...json, 'connect-timeout-ms': '20' },
  });
  const answered = once(call, 'response');

  call.flushHeaders();
  await eventually('the request', () => server.counts().streams === 1);
  await sleep(30);
  call.end('{}');

  const [response] = await answered;
  assert.equal(response.statusCode, 504);
  response.resume();
  await server.log.line({ 'rpc.status_code': 'DEADLINE_EXCEEDED' });
});

test('a call that is refused after its deadline is logged', async () => {
  await using server = await serveWeb();

  const response = await post(server.address, '{}', {
    ...json,
    'content-encoding': 'none-such',
    'connect-timeout-ms': '0',
  });

  assert.equal(response.status, 504);
  await server.log.line({ 'rpc.status_code': 'DEADLINE_EXCEEDED' });
});

test('calls are counted and logged with their protocol', async () => {
  await using server = await serveWeb();
  const options = { baseUrl: `http://${server.address}`, httpVersion: '1.1' } as const;

  await callOver(createConnectTransport(options), 'echo.Script/Unary', {
    requests: [request],
  });
  await callOver(createGrpcWebTransport(options), 'echo.Script/Unary', {
    requests: [request],
  });
  await server.client.unary({ text: 'gRPC' });

  assert.deepEqual(server.calls.protocols, { grpc: 1, 'grpc-web': 1, connect: 1 });
  const about = { 'rpc.method': 'echo.Script/Unary', 'rpc.status_code': 'OK' };
  await server.log.line({ ...about, protocol: 'connect' });
  await server.log.line({ ...about, protocol: 'grpc-web' });
});

test('spans have the system and the method of a call by its protocol', async () => {
  await using traced = await serveTraced({ engine: 'direct', tls: false });
  const { address } = traced.running;
  const options = { baseUrl: `http://${address}`, httpVersion: '1.1' } as const;
  const call = { requests: [request] };

  await callOver(createConnectTransport(options), 'echo.Script/Unary', call);
  await callOver(createGrpcWebTransport(options), 'echo.Script/Unary', call);
  await fetch(`http://${address}/echo.Script/Nope`, { method: 'POST', body: '{}', headers: json });

  await traced.running.log.line({ 'rpc.method': '_OTHER' });
  const spans = await traced.spans();
  assert.deepEqual(
    spans.map(({ name, attributes }) => [name, attributes['rpc.system.name']]),
    [
      ['echo.Script/Unary', 'connectrpc'],
      ['echo.Script/Unary', 'grpc'],
      ['connectrpc', 'connectrpc'],
    ],
  );
});

type Version = '1.1' | '2';

/** Creates the clients under test. */
const clients: Record<string, (baseUrl: string) => Transport> = {
  'connect-node with protobuf over HTTP/1.1': (baseUrl) => connect(baseUrl, '1.1'),
  'connect-node with JSON over HTTP/1.1': (baseUrl) => connect(baseUrl, '1.1', false),
  'connect-node with protobuf over HTTP/2': (baseUrl) => connect(baseUrl, '2'),
  'connect-node with JSON over HTTP/2': (baseUrl) => connect(baseUrl, '2', false),
  'connect-node with gRPC-Web over HTTP/1.1': (baseUrl) =>
    createGrpcWebTransport({ baseUrl, httpVersion: '1.1' }),
  'connect-node with gRPC-Web over HTTP/2': (baseUrl) =>
    createGrpcWebTransport({ baseUrl, httpVersion: '2' }),
  'connect-web with Connect': (baseUrl) => createBrowserConnect({ baseUrl }),
  'connect-web with gRPC-Web': (baseUrl) => createBrowserGrpcWeb({ baseUrl }),
};

async function failureOf(calling: Promise<unknown>): Promise<ConnectError | undefined> {
  try {
    await calling;
    return undefined;
  } catch (error) {
    return ConnectError.from(error);
  }
}

function connect(baseUrl: string, httpVersion: Version, useBinaryFormat = true): Transport {
  return createConnectTransport({ baseUrl, httpVersion, useBinaryFormat });
}

for (const [name, dial] of Object.entries(clients)) {
  void suite(name, () => {
    test('calls a unary method, with metadata in both directions', async () => {
      await using server = await serveWeb();

      const { messages, header } = await callOver(
        dial(`http://${server.address}`),
        'echo.Script/Unary',
        { requests: [request], headers: { 'x-request-id': 'mine' } },
      );

      assert.deepEqual(messages, [reply]);
      assert.equal(header.get('x-request-id'), 'mine');
    });

    test('reads a stream', async () => {
      await using server = await serveWeb();

      const { messages } = await callOver(
        dial(`http://${server.address}`),
        'echo.Script/ServerStream',
        { requests: [stream] },
      );

      const payloads = messages.map((message) => Object(message).payload);
      assert.deepEqual(payloads, ['AA==', 'AAA=', 'AAAA']);
    });

    test('gets an error with its details', async () => {
      await using server = await serveWeb({ maxInFlight: 0 });

      const calling = callOver(dial(`http://${server.address}`), 'echo.Script/Unary', {
        requests: [request],
      });

      const error = await failureOf(calling);
      assert.equal(error?.code, Code.ResourceExhausted);
      const [detail] = error.details;
      assert.ok(detail && 'type' in detail);
      assert.equal(detail.type, 'google.rpc.RetryInfo');
      assert.ok(RetryInfo.decode(detail.value).retryDelay);
    });

    test('ends a call at its deadline', async () => {
      await using server = await serveWeb();

      const calling = callOver(dial(`http://${server.address}`), 'echo.Script/ServerStream', {
        requests: [slowStream],
        timeoutMs: 100,
      });

      const error = await failureOf(calling);
      assert.equal(error?.code, Code.DeadlineExceeded);
      // Either side may end the call first.
      await eventually('the end of the call', () => server.counts().calls === 0);
    });

    test('cancels a call', async () => {
      await using server = await serveWeb();
      const controller = new AbortController();

      const calling = callOver(dial(`http://${server.address}`), 'echo.Script/ServerStream', {
        requests: [slowStream],
        signal: controller.signal,
      });
      const failed = assert.rejects(calling);
      await eventually('the call', () => server.counts().calls === 1);
      controller.abort();

      await failed;
      await server.log.line({ 'rpc.status_code': 'CANCELLED' });
      await eventually('the end of the call', () => server.counts().calls === 0);
    });
  });
}

test('client streams and bidirectional streams are served over HTTP/2', async () => {
  await using server = await serveWeb();
  const transport = connect(`http://${server.address}`, '2');
  const uploads = ['AA==', 'AAA='].map((payload) => ({ payload }));
  const downloads = [1, 2].map((size) => ({ replies: [{ size }] }));

  const sum = await callOver(transport, 'echo.Script/ClientStream', {
    requests: uploads,
  });
  const replies = await callOver(transport, 'echo.Script/Bidi', {
    requests: downloads,
  });

  assert.deepEqual(sum.messages, [{ size: 3 }]);
  assert.deepEqual(replies.messages, uploads);
});

test('a gRPC-Web request in base64 gets a response in base64', async () => {
  await using server = await serveWeb();
  const type = 'application/grpc-web-text';
  const message = scriptRequest(ping(1));
  // Two parts, each with its own padding.
  const body = message.subarray(0, 4).toString('base64') + message.subarray(4).toString('base64');

  const response = await post(server.address, body, { 'content-type': type });

  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), type);
  const parts = (await response.text()).match(/[^=]+=*/g) ?? [];
  const bytes = Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')));
  const length = bytes.readUInt32BE(1);
  assert.equal(ScriptReply.decode(bytes.subarray(5, 5 + length)).payload.length, 1);
  assert.equal(bytes[5 + length], 0x80);
  assert.match(bytes.subarray(10 + length).toString(), /^grpc-status: 0\r\n/);
});

test('a method that may have side effects cannot be called with GET', async () => {
  await using server = await serveWeb();

  const response = await fetch(`http://${server.address}${unaryCall}`);

  assert.equal(response.status, 405);
  assert.equal(await response.text(), 'Cannot call this method with GET: use POST\n');
});

for (const version of ['--http1.1', '--http2']) {
  test(`curl calls a method over TLS with ${version}`, async () => {
    await using server = await serveWeb({ tls: await localCertificate() });
    const data = ['-d', JSON.stringify(request), '-H', 'content-type: application/json'];
    const about = ['-w', ' %{http_version}', version, `https://${server.address}${unaryCall}`];

    const { stdout } = await promisify(execFile)('curl', ['-sSk', ...data, ...about]);

    assert.equal(stdout, `${JSON.stringify(reply)} ${version === '--http2' ? '2' : '1.1'}`);
  });
}

test('GET / describes the server, with commands for its address', async () => {
  await using server = await serveWeb();

  const response = await fetch(`http://${server.address}/`);

  assert.equal(response.status, 200);
  const page = await response.text();
  assert.match(page, new RegExp(`http://${server.address}/grpc.health.v1.Health/Check\\n`));
  assert.match(page, new RegExp(`grpcurl -plaintext ${server.address} list\\n`));
});

for (const version of ['--http1.1', '--http2-prior-knowledge']) {
  test(`curl --head ${version} gets no body`, async () => {
    await using server = await serveWeb();
    const args = ['-sS', '--head', version, `http://${server.address}/healthz`];

    const { stdout } = await promisify(execFile)('curl', args);

    assert.match(stdout, /^HTTP\/\S+ 200 .*\r\ncontent-length: 3\r\n/s);
  });
}

test('GET /healthz and /readyz return 200 until the server shuts down', async () => {
  await using server = await serveWeb();
  const statuses = () =>
    Promise.all(
      ['/healthz', '/readyz'].map(async (path) => {
        const response = await fetch(`http://${server.address}${path}`);
        return [response.status, await response.text()];
      }),
    );

  const before = await statuses();
  server.state.shuttingDown();
  const after = await statuses();

  assert.deepEqual(before, [
    [200, 'ok\n'],
    [200, 'ok\n'],
  ]);
  assert.deepEqual(after, [
    [503, 'not ready\n'],
    [503, 'not ready\n'],
  ]);
});

const origin = 'https://a.example';

function preflight(address: string) {
  return fetch(`http://${address}${unaryCall}`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,x-mine',
    },
  });
}

test('a page of an allowed origin may send the headers that it asks for, and read those of the response', async () => {
  await using server = await serveWeb({ corsOrigins: [origin] });

  const asked = await preflight(server.address);
  const response = await post(server.address, '{}', {
    ...json,
    origin,
    'x-request-id': 'mine',
  });

  assert.equal(asked.status, 204);
  assert.equal(asked.headers.get('access-control-allow-origin'), origin);
  assert.equal(asked.headers.get('access-control-allow-methods'), 'GET, POST');
  assert.equal(asked.headers.get('access-control-allow-headers'), 'content-type,x-mine');
  assert.equal(asked.headers.get('access-control-allow-credentials'), null);
  assert.equal(response.headers.get('access-control-allow-origin'), origin);
  const exposed = response.headers.get('access-control-expose-headers') ?? '';
  assert.ok(exposed.split(', ').includes('x-request-id'), exposed);
  assert.ok(exposed.split(', ').includes('grpc-status'), exposed);
});

test('pages of other origins, or of any origin by default, are not allowed', async () => {
  await using server = await serveWeb({ corsOrigins: ['https://b.example'] });
  await using off = await serveWeb();

  for (const { address } of [server, off]) {
    const asked = await preflight(address);
    const response = await post(address, '{}', { ...json, origin });

    assert.equal(asked.status, 405);
    assert.equal(asked.headers.get('access-control-allow-origin'), null);
    assert.equal(response.headers.get('access-control-allow-origin'), null);
    assert.equal(response.status, 200);
  }
});

test('pages of any origin are allowed with *', async () => {
  await using server = await serveWeb({ corsOrigins: '*' });

  const asked = await preflight(server.address);

  assert.equal(asked.headers.get('access-control-allow-origin'), '*');
});

test('a client with the most calls loses one to a client with fewer', async () => {
  const limits = { maxInFlight: 2 };
  await using server = await serveWeb({ maxInFlight: 2, limits });
  const transport = connect(`http://${server.address}`, '2');
  const call = () => callOver(transport, 'echo.Script/ServerStream', { requests: [slowStream] });
  const calling = Promise.race([call(), call()]);
  const failed = failureOf(calling);
  await eventually('both calls', () => server.counts().calls === 2);

  const reply = await server.client.unary({ text: 'mine' });

  assert.deepEqual(reply, { text: 'mine' });
  assert.equal((await failed)?.code, Code.ResourceExhausted);
});
