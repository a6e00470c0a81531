import assert from 'node:assert/strict';
import { type EventEmitter, once } from 'node:events';
import * as http from 'node:http';
import { connect as dial } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { createFaultCounts } from '../src/faults/counts.ts';
import { createFaults } from '../src/faults/middleware.ts';
import type { Limits } from '../src/transport/engine_types.ts';
import { EchoRequest } from './echo/gen/echo.ts';
import { eventually, type Running, serve } from './support/harness.ts';
import { paths } from './support/kinds.ts';
import { connectRaw, frame } from './support/raw_client.ts';

async function serveFaulty(limits?: Partial<Limits>) {
  const faults = createFaults({
    rules: [],
    max: 100,
    counts: createFaultCounts(),
    hostname: 'pod-1',
  });
  return serve({ engine: 'direct', tls: false, faults, ...(limits && { limits }) });
}

/** Resolves when a stream is closed, whether or not it has failed. */
function closed(stream: EventEmitter): Promise<void> {
  return new Promise((resolve) => stream.once('close', () => resolve()));
}

const acceptsGzip = { 'connect-accept-encoding': 'gzip', 'grpc-accept-encoding': 'gzip' };
const message = EchoRequest.encode({ text: 'one' }).finish();
const json = { 'content-type': 'application/json' };
const connect = { 'content-type': 'application/connect+proto' };
const grpcWeb = { 'content-type': 'application/grpc-web+proto' };

function post(
  address: string,
  fault: string,
  { path = paths.unary, headers = json, body = Buffer.from('{}') } = {},
) {
  return fetch(`http://${address}${path}`, {
    method: 'POST',
    body,
    headers: { ...headers, 'x-greeter-fault': fault },
  });
}

test('faults of Connect unary calls: status, http, and what ends the connection', async () => {
  await using server = await serveFaulty();

  const status = await post(server.address, 'status=UNAVAILABLE;message=try%20again');
  const unavailable = await post(server.address, 'http=503');
  const delayed = await post(server.address, 'delay=1ms');

  assert.equal(status.status, 503);
  assert.partialDeepStrictEqual(await status.json(), { code: 'unavailable', message: 'try again' });
  assert.equal(unavailable.status, 503);
  assert.equal(await unavailable.text(), '');
  assert.equal(delayed.status, 200);
  assert.equal(delayed.headers.get('trailer-x-greeter-fault-injected'), 'delay');
  for (const fault of ['reset=CANCEL', 'refuse', 'drop', 'goaway']) {
    await assert.rejects(post(server.address, fault), fault);
  }
  await server.log.line({ protocol: 'connect', fault: 'refuse', 'rpc.status_code': 'UNAVAILABLE' });
});

test('garbage of a Connect unary call in JSON is an internal error', async () => {
  await using server = await serveFaulty();

  const response = await post(server.address, 'garbage');

  assert.equal(response.status, 500);
  assert.partialDeepStrictEqual(await response.json(), { code: 'internal' });
});

test('no-status is refused over Connect unary, whose responses have no status', async () => {
  await using server = await serveFaulty();

  const response = await post(server.address, 'no-status');

  assert.equal(response.status, 501);
  assert.match(await response.text(), /Cannot inject no-status over Connect's unary protocol/);
});

for (const type of ['application/json', 'application/proto']) {
  test(`corrupt-compression of a Connect unary call cannot be decompressed (${type})`, async () => {
    await using server = await serveFaulty();
    const headers = { 'content-type': type };

    const response = await post(server.address, 'corrupt-compression', {
      headers,
      body: type.includes('json') ? Buffer.from('{}') : Buffer.from(message),
    });

    assert.equal(response.headers.get('content-encoding'), 'gzip');
    await assert.rejects(response.arrayBuffer(), { message: 'terminated' });
  });

  test(`http=200 of a Connect unary call is a response of another type (${type})`, async () => {
    await using server = await serveFaulty();

    const response = await post(server.address, 'http=200', { headers: { 'content-type': type } });

    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'text/plain');
    assert.equal(await response.text(), '');
  });
}

for (const [type, body] of [
  ['application/grpc-web+proto', EchoRequest.encode({ text: 'x'.repeat(3000) }).finish()],
  ['application/connect+json', Buffer.from(JSON.stringify({ text: 'x'.repeat(3000) }))],
] as const) {
  test(`corrupt-compression of a stream is sent as it is (${type})`, async () => {
    await using server = await serveFaulty();

    const response = await post(server.address, 'corrupt-compression', {
      path: paths.serverStream,
      headers: { 'content-type': type, ...acceptsGzip },
      body: Buffer.from(frame(body)),
    });

    const received = Buffer.from(await response.arrayBuffer());
    const sent = received.subarray(5, 5 + received.readUInt32BE(1));
    assert.equal(received[0], 1);
    assert.throws(() => gunzipSync(sent), /incorrect header check/);
  });
}

test('rate delays a Connect unary response', async () => {
  await using server = await serveFaulty();
  const startedAt = performance.now();

  const body = Buffer.from(JSON.stringify({ text: 'x'.repeat(200) }));
  const response = await post(server.address, 'rate=1KiB', { body });

  assert.equal(response.status, 200);
  assert.equal(Object(await response.json()).text.length, 200);
  assert.ok(performance.now() - startedAt >= 100);
});

for (const [name, headers] of Object.entries({ connect, grpcWeb })) {
  test(`faults of a stream (${name})`, async () => {
    await using server = await serveFaulty();
    const call = async (fault: string) => {
      const options = { path: paths.serverStream, headers, body: Buffer.from(frame(message)) };
      const response = await post(server.address, fault, options);
      return { status: response.status, body: Buffer.from(await response.arrayBuffer()) };
    };

    const whole = await call('delay=1ms');
    const unended = await call('no-status');
    const early = await call('no-status;after=1');
    const truncated = await call('truncate');
    const unavailable = await call('http=503');
    const big = await call('big=100KiB');

    // Without the frame of the trailers.
    assert.ok(unended.body.length < whole.body.length);
    assert.deepEqual(unended.body, whole.body.subarray(0, unended.body.length));
    assert.ok(early.body.length < unended.body.length);
    assert.deepEqual(early.body, whole.body.subarray(0, early.body.length));
    assert.equal(truncated.body[4], whole.body[4]);
    assert.equal(unavailable.status, 503);
    assert.ok(big.body.length > 100 * 1024);
    await assert.rejects(call('reset=CANCEL;after=1'));
  });

  test(`faults of a stream over HTTP/2 (${name})`, async () => {
    await using server = await serveFaulty();
    const raw = await connectRaw(server.address);
    const open = (fault: string) => {
      const fields = { ...headers, 'x-greeter-fault': fault };
      return raw.open(paths.serverStream, fields).end(frame(message));
    };

    const reset = open('reset=ENHANCE_YOUR_CALM');
    await closed(reset);
    const unavailable = open('http=429');
    const [fields] = await once(unavailable, 'response');
    const goAway = once(raw.session, 'goaway');
    const retired = open('goaway');
    const body = await buffer(retired);
    await goAway;

    assert.equal(reset.rstCode, 11);
    assert.equal(fields[':status'], 429);
    assert.ok(body.length > 0);
    raw.close();
  });
}

test('a fault of a request over HTTP/1.1 leaves nothing open', async () => {
  await using server = await serveFaulty();
  for (const fault of ['drop', 'refuse', 'hang', 'rate=1', 'big=4MiB', 'truncate']) {
    const call = http.request(`http://${server.address}${paths.unary}`, {
      method: 'POST',
      headers: { ...json, 'x-greeter-fault': fault },
    });
    call.on('error', () => {});
    call.end('{}');
    setTimeout(() => call.destroy(), 20);
    await closed(call);
  }

  await eventually('no calls', () => server.counts().calls === 0);
  await eventually('no bytes', () => server.counts().bufferedBytes === 0);
});

for (const type of ['json', 'connect+json', 'grpc-web+json']) {
  test(`big is refused in JSON (${type})`, async () => {
    await using server = await serveFaulty();

    const response = await post(server.address, 'big=1KiB', {
      path: type === 'connect+json' ? paths.serverStream : paths.unary,
      headers: { 'content-type': `application/${type}` },
      body: Buffer.from(type === 'json' ? '{}' : frame(Buffer.from('{}'))),
    });

    assert.match(await response.text(), /Cannot inject big in JSON/);
    await server.log.line({ 'rpc.status_code': 'UNIMPLEMENTED' });
  });
}

test('big is bounded over the web, also in several parts', async () => {
  await using server = await serveFaulty();
  const headers = { 'content-type': 'application/proto' };

  const most = await post(server.address, 'big=4MiB', { headers, body: Buffer.from(message) });
  const more = await post(server.address, 'big=3MiB, big=2MiB', { headers });

  assert.ok((await most.arrayBuffer()).byteLength > 4 * 1024 ** 2);
  assert.equal(more.status, 501);
  assert.match(await more.text(), /Cannot inject big of more than 4194304 bytes over the web/);
});

for (const type of ['application/proto', 'application/grpc-web+proto']) {
  test(`big waits for memory (${type})`, async () => {
    await using server = await serveFaulty({ maxBufferedBytes: 16 * 1024 ** 2 });

    const peak = await peakOfUnread(server, { count: 16, type, fault: 'big=4MiB' });

    assert.ok(peak < 40 * 1024 ** 2, `${peak} bytes are held`);
    await eventually('no calls', () => server.counts().calls === 0);
    await eventually('no bytes', () => server.counts().bufferedBytes === 0);
  });
}

test('a deadline ends a call that waits for the memory of big, which is not injected then', async () => {
  await using server = await serveFaulty({ maxBufferedBytes: 16 * 1024 ** 2 });
  const proto = { 'content-type': 'application/proto' };
  const open = { headers: { ...proto, 'connect-timeout-ms': '20000' }, body: Buffer.from(message) };
  const slow = post(server.address, 'big=4MiB,rate=1KiB', open).catch(() => {});
  await eventually('a message', () => (server.counts().heldBytes?.['responses'] ?? 0) > 4_000_000);

  const headers = { ...proto, 'connect-timeout-ms': '100' };
  const late = await post(server.address, 'big=4MiB', { headers, body: Buffer.from(message) });

  assert.equal(late.status, 504);
  assert.equal(late.headers.get('trailer-x-greeter-fault-injected'), null);
  await server.openCalls.cut();
  await slow;
});

/** Makes calls whose responses are not read; returns the most memory of buffers until each is answered or cut. */
async function peakOfUnread(
  { address }: Running,
  { count, type, fault }: { count: number; type: string; fault: string },
): Promise<number> {
  const [host, port] = address.split(':');
  const body = type.includes('grpc-web') ? frame(Buffer.alloc(0)) : Buffer.alloc(0);
  const fields = [`content-type: ${type}`, `x-greeter-fault: ${fault}`];
  const head = [`POST ${paths.unary} HTTP/1.1`, 'host: x', ...fields];
  const request = `${[...head, `content-length: ${body.length}`].join('\r\n')}\r\n\r\n`;
  const before = process.memoryUsage().arrayBuffers;
  let peak = 0;
  let over = 0;
  const sockets = Array.from({ length: count }, () => {
    const socket = dial(Number(port), host).on('error', () => {});
    const end = () => {
      over++;
      socket.off('data', end).off('close', end).pause();
    };
    socket.write(Buffer.concat([Buffer.from(request), body]));
    return socket.on('data', end).on('close', end);
  });
  await eventually('the ends', () => {
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    return over === count;
  });
  for (const socket of sockets) socket.destroy();
  return peak;
}
