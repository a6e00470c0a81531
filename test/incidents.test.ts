import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { Flag, FrameType, preface } from '../src/engine/http2/frames.ts';
import { localCertificate } from './support/certificate.ts';
import {
  eventually,
  type Running,
  serve as serveAny,
  type ServeOptions,
} from './support/harness.ts';
import { callOf, headers } from './http2_attacks/targets.ts';
import { frameOf, word } from './support/http2_peer.ts';
import { rpcMethods, paths } from './support/kinds.ts';
import { connectRaw } from './support/raw_client.ts';

/** The direct engine in plaintext by default. */
function serve(options: ServeOptions = {}): Promise<Running> {
  return serveAny({ engine: 'direct', tls: undefined, ...options });
}

function dial({ address }: Running): Socket {
  const [host = '', port = ''] = address.split(':');
  return connect(Number(port), host).on('error', () => {});
}

const greeting = Buffer.concat([preface, frameOf(FrameType.SETTINGS, 0, 0, Buffer.alloc(0))]);
/** An open call whose request is not complete. */
const openCall = headers(1, callOf(paths.clientStream));

/** Sends bytes on a connection, waits for its end, and returns the only incident. */
async function incidentOf(running: Running, said: Buffer) {
  const socket = dial(running);
  socket.resume().write(said);
  await once(socket, 'close');
  assert.equal(running.incidents.length, 1);
  return running.incidents[0];
}

test('text that is neither HTTP/1.1 nor HTTP/2 is answered with 400 and an explanation', async () => {
  await using running = await serve();
  const socket = dial(running);

  socket.end('hello\r\n');
  const answer = await text(socket);

  const body = `This is a gRPC server, which speaks HTTP/2. Try: grpcurl -plaintext ${running.address} list\n`;
  assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
  assert.ok(answer.endsWith(`Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`));
  assert.partialDeepStrictEqual(running.incidents, [{ reason: 'http1' }]);
});

test('the same text inside TLS is answered with 400 and an explanation', async () => {
  const tls = await localCertificate();
  await using running = await serve({ tls });
  const [host = '', port = ''] = running.address.split(':');
  const socket = connectTls({ host, port: Number(port), rejectUnauthorized: false });

  socket.end('hello\r\n');
  const answer = await text(socket);

  assert.match(answer, /^HTTP\/1\.1 400 .*Try: grpcurl -insecure 127\.0\.0\.1:\d+ list\n$/s);
});

test('TLS on a plaintext port is closed, and reported', async () => {
  await using running = await serve();

  const incident = await incidentOf(running, Buffer.from('16030100a5010000a10303', 'hex'));

  assert.equal(incident?.reason, 'tls_on_plaintext');
  assert.match(incident?.peer ?? '', /^127\.0\.0\.1:\d+$/);
});

test('HTTP/1.1 on a TLS port is reported', async () => {
  await using running = await serve({ tls: await localCertificate() });

  const incident = await incidentOf(running, Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));

  assert.equal(incident?.reason, 'handshake_plaintext');
});

test('a connection that is evicted at --max-connections is reported', async () => {
  await using running = await serve({ limits: { maxConnections: 1 } });
  const first = dial(running);
  first.resume().write(greeting);
  await eventually('the first connection', () => running.counts().connections === 1);

  const peer = `127.0.0.1:${first.localPort}`;

  const second = dial(running);
  await once(first, 'close');
  second.destroy();

  assert.partialDeepStrictEqual(running.incidents, [{ reason: 'evicted', peer }]);
});

test('a connection that is refused at --max-connections is reported', async () => {
  await using running = await serve({ limits: { maxConnections: 1 } });
  const first = dial(running);
  // It has a call, so it is not evicted.
  first.write(Buffer.concat([greeting, openCall]));
  await eventually('the first call', () => running.counts().calls === 1);

  const incident = await incidentOf(running, greeting);
  first.destroy();

  assert.equal(incident?.reason, 'refused');
});

for (const [reason, fields] of Object.entries({
  http_405: { ':method': 'GET' },
  http_415: { 'content-type': 'text/html' },
  http_431: { 'content-type': 'text/plain', x: 'x'.repeat(20_000) },
})) {
  test(`a request that is answered with ${reason} is reported`, async () => {
    await using running = await serve();
    const client = await connectRaw(running.address);

    await buffer(client.open(paths.unary, fields).end());
    client.close();

    assert.partialDeepStrictEqual(running.incidents, [{ reason }]);
    assert.match(running.incidents[0]?.message ?? '', /(POST|GET) \/echo\.Echo\/Unary$/);
  });
}

test('calls that a GOAWAY of the server ends are UNAVAILABLE, with the reason in the log', async () => {
  await using running = await serve();

  const incident = await incidentOf(
    running,
    Buffer.concat([greeting, openCall, frameOf(FrameType.PUSH_PROMISE, 0, 1, Buffer.alloc(4))]),
  );
  const line = await running.log.line({ 'rpc.method': rpcMethods.clientStream });

  const reason = 'Cannot accept PUSH_PROMISE from a client';
  assert.partialDeepStrictEqual(incident, { reason: 'goaway_protocol_error', message: reason });
  assert.partialDeepStrictEqual(line, { 'rpc.status_code': 'UNAVAILABLE', reason, level: 30 });
});

test('a call that the server resets is logged with the status that its caller derives, and the reason', async () => {
  await using running = await serve();
  const socket = dial(running);

  socket.write(Buffer.concat([greeting, openCall]));
  socket.write(frameOf(FrameType.WINDOW_UPDATE, 0, 1, word(0)));
  const line = await running.log.line({ 'rpc.method': rpcMethods.clientStream });
  socket.destroy();

  assert.partialDeepStrictEqual(running.incidents, [{ reason: 'rst_stream_protocol_error' }]);
  assert.partialDeepStrictEqual(line, {
    'rpc.status_code': 'INTERNAL',
    reason: 'Cannot grow by 0',
    msg: 'call ended',
  });
});

test('a malformed request, and a stream above the limit, are reported', async () => {
  await using running = await serve({ limits: { maxConcurrentStreams: 1 } });
  const socket = dial(running);
  const malformed = headers(3, Buffer.from([0x83]), Flag.END_STREAM);

  socket.write(Buffer.concat([greeting, malformed, headers(5, callOf(paths.clientStream))]));
  socket.write(headers(7, callOf(paths.clientStream)));
  await eventually('two incidents', () => running.incidents.length === 2);
  socket.destroy();

  assert.deepEqual(
    running.incidents.map(({ reason }) => reason),
    ['rst_stream_protocol_error', 'rst_stream_refused_stream'],
  );
});

test('a connection whose peer does not answer a PING is reported, its calls as UNAVAILABLE', async () => {
  await using running = await serve({ limits: { keepaliveTime: 1000, keepaliveTimeout: 1000 } });
  const socket = dial(running);

  socket.resume().write(Buffer.concat([greeting, openCall]));
  const line = await running.log.line({ 'rpc.method': rpcMethods.clientStream });
  socket.destroy();

  assert.partialDeepStrictEqual(running.incidents, [{ reason: 'keepalive_timeout' }]);
  assert.partialDeepStrictEqual(line, {
    'rpc.status_code': 'UNAVAILABLE',
    reason: 'Cannot reach the peer: it has not answered a PING',
  });
});

test('a connection that ends normally, or that its peer ends, is not reported', async () => {
  await using running = await serve();
  const client = await connectRaw(running.address);
  const call = client.open(paths.clientStream);
  await client.roundTrip();

  call.close(8);
  await running.log.line({ 'rpc.method': rpcMethods.clientStream, 'rpc.status_code': 'CANCELLED' });
  client.close();

  assert.deepEqual(running.incidents, []);
});
