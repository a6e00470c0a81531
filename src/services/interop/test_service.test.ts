import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { certificate } from '../../../test/support/certificate.ts';
import { answerTo } from '../../../test/support/grpc_answer.ts';
import { eventually, feed } from '../../../test/support/harness.ts';
import { echoed, response, serveTests, sizes } from '../../../test/interop/serve_tests.ts';
import { usedMemory } from '../../../test/support/memory.ts';
import { connectRaw, frame, packed } from '../../../test/support/raw_client.ts';
import { StreamingOutputCallRequest } from '../../gen/grpc/testing/messages.ts';
import {
  TestServiceDefinition,
  UnimplementedServiceDefinition,
} from '../../gen/grpc/testing/test.ts';
import { dial } from '../../transport/client.ts';

const echo = { echoInitial: ['first'], echoTrailing: [Buffer.from([0xab, 0xab, 0xab])] };

/** The echoed metadata of a call. */
function echoOf({ header, trailer }: ReturnType<typeof echoed>['heard']) {
  return {
    echoInitial: header.getAll('x-grpc-test-echo-initial'),
    echoTrailing: trailer
      .getAll('x-grpc-test-echo-trailing-bin')
      .map((bytes) => Buffer.from(bytes)),
  };
}

async function* all<T>(...requests: T[]) {
  yield* requests;
}

test('emptyCall() returns an empty response, and the hostname', async () => {
  await using running = await serveTests();
  const { heard, options } = echoed();

  assert.deepEqual(await running.test.emptyCall({}, options), {});
  assert.deepEqual(echoOf(heard), echo);
  assert.equal(heard.header.get('hostname'), 'host');
});

test('unaryCall() returns a payload of the requested size, and the requested report', async () => {
  await using running = await serveTests();

  const { payload, ...more } = await running.test.unaryCall({
    responseSize: 314_159,
    payload: { body: Buffer.alloc(271_828) },
    fillServerId: true,
    fillUsername: true,
    fillOauthScope: true,
  });

  assert.deepEqual(payload?.body, Buffer.alloc(314_159));
  assert.deepEqual(more, {
    username: '',
    oauthScope: '',
    serverId: 'one',
    grpclbRouteType: 0,
    hostname: 'host',
  });
});

test("unaryCall() returns the name in the client's certificate, on the direct engine", async () => {
  const [own, signer] = await Promise.all([certificate(), certificate({ name: 'authority' })]);
  const pair = await certificate({ dns: ['cart.test'], signer });
  await using running = await serveTests({
    engine: 'direct',
    tls: { ...own, clientCa: signer.cert },
  });
  const clientCertificate = { cert: Buffer.from(pair.cert), key: Buffer.from(pair.key) };
  const tls = { ca: Buffer.from(own.cert), clientCertificate };
  const channel = dial({ address: running.address, tls });

  const client = createClient(TestServiceDefinition, channel);
  const { username } = await client.unaryCall({ fillUsername: true });
  channel.close();

  assert.equal(username, 'cart.test');
});

test('unaryCall() rejects payloads that it cannot send, before it creates them', async () => {
  await using running = await serveTests({ maxMessageSize: 1000 });
  const refused = (request: object, details: string | RegExp, code: Status) =>
    assert.rejects(running.test.unaryCall(request), { code, details });
  const { INVALID_ARGUMENT, RESOURCE_EXHAUSTED } = Status;
  const whole = await running.test.unaryCall({ responseSize: 1000 });

  assert.equal(whole.payload?.body.length, 1000);
  await refused({ responseSize: 1001 }, /at most 1000 bytes/, RESOURCE_EXHAUSTED);
  await refused({ responseSize: 2 ** 31 - 1 }, /at most 1000 bytes/, RESOURCE_EXHAUSTED);
  await refused({ responseSize: -1 }, /"size": must not be negative/, INVALID_ARGUMENT);
  await refused({ responseType: 1 }, /"response_type": must be COMPRESSABLE/, INVALID_ARGUMENT);
});

test('a call that requests a status ends with it, and with all echoed metadata', async () => {
  await using running = await serveTests();
  const message = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈, 100 %\t\n';
  for (let code = Status.CANCELLED; code <= Status.UNAUTHENTICATED; code++) {
    const request = { responseStatus: { code, message } };
    const unary = echoed();
    const duplex = echoed();
    const ended = { code, details: message };

    await assert.rejects(running.test.unaryCall(request, unary.options), ended);
    const stream = running.test.fullDuplexCall(all(request), duplex.options);
    await assert.rejects(Array.fromAsync(stream), ended);

    assert.deepEqual(echoOf(unary.heard), echo);
    assert.deepEqual(echoOf(duplex.heard), echo);
  }
  assert.deepEqual(
    running.log.lines.filter(({ level }) => level !== 30),
    [],
  );
  // Texts of callers do not belong in the log.
  assert.doesNotMatch(JSON.stringify(running.log.lines), /whitespace/);
  const unnamed = { responseStatus: { code: 99, message } };
  await assert.rejects(running.test.unaryCall(unnamed), { code: 99, details: message });
  await running.log.line({ 'rpc.status_code': '99' });
  await assert.rejects(running.test.unaryCall({ responseStatus: { code: -1 } }), {
    code: Status.INVALID_ARGUMENT,
  });
  assert.ok(await running.test.unaryCall({ responseStatus: { code: 0, message } }));
});

test('cacheableUnaryCall() returns the same timestamp for equal requests, and allows caching', async () => {
  await using running = await serveTests();
  const { heard, options } = echoed();
  const ask = async (responseSize: number) => {
    const { payload } = await running.test.cacheableUnaryCall({ responseSize }, options);
    return BigInt(String(payload?.body));
  };

  const [first, second, again] = [await ask(1), await ask(2), await ask(1)];

  assert.ok(first < second);
  assert.equal(again, first);
  assert.equal(heard.header.get('cache-control'), 'max-age=60, public');
});

test('streamingOutputCall() sends the requested responses in order', async () => {
  await using running = await serveTests();
  const wanted = [31_415, 9, 2653, 58_979];
  const responseParameters = wanted.map((size) => response(size));

  const got = await sizes(running.test.streamingOutputCall({ responseParameters }));

  assert.deepEqual(got, wanted);
});

test("streamingOutputCall() returns the client's name if it is requested", async () => {
  await using running = await serveTests();
  const responseParameters = [response(1, { fillPeerSocketAddress: { value: true } }), response(1)];

  const got = await Array.fromAsync(running.test.streamingOutputCall({ responseParameters }));

  assert.match(got[0]?.peerSocketAddress ?? '', /^127\.0\.0\.1:\d+$/);
  assert.equal(got[1]?.peerSocketAddress, '');
});

test('streamingOutputCall() pauses before a response until it is cancelled', async () => {
  await using running = await serveTests();
  const cancel = new AbortController();
  const halfAnHour = 2 ** 31 - 1;
  const responseParameters = [
    response(1, { intervalUs: 1 }),
    response(1, { intervalUs: halfAnHour }),
  ];
  const { signal } = cancel;
  const responses = running.test.streamingOutputCall({ responseParameters }, { signal });
  const iterator = responses[Symbol.asyncIterator]();

  const first = await iterator.next();
  cancel.abort();

  assert.equal(first.value?.payload?.body.length, 1);
  await assert.rejects(iterator.next(), { name: 'AbortError' });
  await running.log.line({
    'rpc.method': 'grpc.testing.TestService/StreamingOutputCall',
    'rpc.status_code': 'CANCELLED',
  });
});

test('streamingOutputCall() sends up to 2,000 responses and 64 MiB, and not one more', async () => {
  await using running = await serveTests();
  const ask = (...responseParameters: ReturnType<typeof response>[]) =>
    sizes(running.test.streamingOutputCall({ responseParameters }));
  const many = (count: number, size: number) => Array.from({ length: count }, () => response(size));
  const maxBytes = many(17, 4 * 1024 * 1024);

  assert.equal((await ask(...many(2000, 0))).length, 2000);
  await assert.rejects(ask(...many(2001, 0)), { code: Status.RESOURCE_EXHAUSTED });
  await assert.rejects(ask(...maxBytes), {
    code: Status.RESOURCE_EXHAUSTED,
    details: 'Cannot send these responses: at most 64 MiB for one request',
  });
});

test('streamingOutputCall() rejects a small request for millions of responses before it is decoded', async () => {
  await using running = await serveTests({ engine: 'direct' });
  const client = await connectRaw(running.address);
  const emptyParameters = Buffer.alloc(4 * 1024 * 1024, Buffer.from([0x12, 0x00]));

  const { headers } = await answerTo(client, {
    path: '/grpc.testing.TestService/StreamingOutputCall',
    body: frame(emptyParameters),
  });
  client.close();

  // Trailers-Only: no handler has run.
  assert.equal(headers['grpc-status'], String(Status.RESOURCE_EXHAUSTED));
});

test('streamingInputCall() returns the total size of all payloads', async () => {
  await using running = await serveTests();
  const requests = [27_182, 8, 1828, 45_904].map((size) => ({
    payload: { body: Buffer.alloc(size) },
  }));

  const { aggregatedPayloadSize } = await running.test.streamingInputCall(all(...requests));

  assert.equal(aggregatedPayloadSize, 74_922);
});

test('fullDuplexCall() answers each request before it reads the next', async () => {
  await using running = await serveTests();
  const requests = feed<Partial<StreamingOutputCallRequest>>();
  const responses = running.test.fullDuplexCall(requests);
  const iterator = responses[Symbol.asyncIterator]();
  const got: (number | undefined)[] = [];

  for (const size of [31_415, 9, 2653]) {
    requests.push({ responseParameters: [response(size), response(size + 1)] });
    for (const _ of [1, 2]) got.push((await iterator.next()).value?.payload?.body.length);
  }
  requests.end();

  assert.deepEqual(got, [31_415, 31_416, 9, 10, 2653, 2654]);
  assert.equal((await iterator.next()).done, true);
});

test('fullDuplexCall() without requests sends no responses', async () => {
  await using running = await serveTests();

  assert.deepEqual(await sizes(running.test.fullDuplexCall(all())), []);
});

test('halfDuplexCall() sends nothing before the last request has arrived', async () => {
  await using running = await serveTests();
  const requests = feed<Partial<StreamingOutputCallRequest>>();
  const responses = running.test.halfDuplexCall(requests)[Symbol.asyncIterator]();
  let isEnded = false;
  const first = responses.next().then(({ value }) => {
    assert.ok(isEnded);
    return value?.payload?.body.length;
  });

  for (const size of [3, 2, 1]) {
    requests.push({ responseParameters: [response(size)] });
    await running.test.emptyCall({});
  }
  isEnded = true;
  requests.end();

  assert.equal(await first, 3);
  assert.deepEqual(await sizes({ [Symbol.asyncIterator]: () => responses }), [2, 1]);
});

test('halfDuplexCall() keeps up to 2,000 requests, and as many pending responses', async () => {
  await using running = await serveTests();
  const call = (count: number, request: Partial<StreamingOutputCallRequest>) =>
    sizes(running.test.halfDuplexCall(all(...Array.from({ length: count }, () => request))));
  const tooMuch = { code: Status.RESOURCE_EXHAUSTED };
  const two = { responseParameters: [response(0), response(0)] };

  assert.equal((await call(1000, two)).length, 2000);
  await assert.rejects(call(1001, two), tooMuch);
  await assert.rejects(call(2001, {}), tooMuch);
});

test('halfDuplexCall() retains only what it needs of its requests, and reports the bytes', async () => {
  await using running = await serveTests({ engine: 'direct' });
  const client = await connectRaw(running.address);
  const path = '/grpc.testing.TestService/HalfDuplexCall';
  const counts = running.calls.of(path);
  const request = (code: number) => {
    const responseStatus = { code, message: `${code}`.repeat(1024 * 1024) };
    const responseParameters = [response(0), response(0)];
    const payload = { body: Buffer.alloc(1024 * 1024) };
    const whole = { responseStatus, responseParameters, payload };
    const message = StreamingOutputCallRequest.fromPartial(whole);
    return packed(gzipSync(StreamingOutputCallRequest.encode(message).finish()));
  };
  const [fine, failing] = [request(0), request(Status.NOT_FOUND)];
  // The last request may still be in memory, so it is a small one.
  const last = packed(gzipSync(Buffer.alloc(0)));
  const send = async (bytes: Buffer, count: number) => {
    const until = counts.received + count;
    for (let i = 0; i < count; i++) stream.write(bytes);
    await eventually('all requests to be taken', () => counts.received === until);
  };
  const stream = client.open(path, { 'grpc-encoding': 'gzip' }).resume();
  const trailers = once(stream, 'trailers');

  await send(fine, 1);
  await send(last, 1);
  const before = { used: await usedMemory(), counted: running.counts().bufferedBytes ?? 0 };
  await send(fine, 100);
  await send(failing, 100);
  await send(fine, 10);
  await send(last, 1);
  const taken = (await usedMemory()) - before.used;
  const counted = (running.counts().bufferedBytes ?? 0) - before.counted;
  stream.end();
  const [{ 'grpc-status': status, 'grpc-message': message }] = await trailers;
  client.close();

  assert.ok(taken < 1024 * 1024, `${taken} bytes`);
  assert.ok(counted > 210 * 450 && counted < 210 * 450 + 16 * 1024, `${counted} bytes`);
  assert.equal(status, `${Status.NOT_FOUND}`);
  assert.equal(message, '5'.repeat(4096));
});

test('unimplementedCall() and UnimplementedService are UNIMPLEMENTED', async () => {
  await using running = await serveTests();
  const nobody = createClient(UnimplementedServiceDefinition, running.channel);
  const unimplemented = { code: Status.UNIMPLEMENTED };

  await assert.rejects(running.test.unimplementedCall({}), unimplemented);
  await assert.rejects(nobody.unimplementedCall({}), unimplemented);
});
