import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { AbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';
import { Scheduler } from '../scheduler.ts';
import { createHpackDecoder } from '../http2/hpack/decoder.ts';
import { listSize } from '../http2/hpack/header_list.ts';
import { LazyMetadata } from './metadata.ts';
import { percentEncode } from './percent_encoding.ts';
import {
  ResponseWriter,
  responseHeaders,
  statusOf,
  trailers,
  trailersOnly,
} from './response_writer.ts';

const nothing = new LazyMetadata([]);
const anyone = { maxHeaderListSize: Number.POSITIVE_INFINITY };
const ok = [':status', '200', 'content-type', 'application/grpc'];

function decode(block: Buffer): readonly string[] {
  return createHpackDecoder({ maxHeaderListSize: 100_000 }).decode(block).fields;
}

function messageOf(details: string): string | undefined {
  return decode(trailers({ code: Status.INTERNAL, details }, nothing, anyone))[3];
}

test('responseHeaders() has status 200, the content type, the encoding and the metadata', () => {
  const header = new LazyMetadata([]);
  header.set('x-a', '1');
  assert.deepEqual(decode(responseHeaders(nothing, anyone)), ok);
  const all = [...ok, 'grpc-encoding', 'gzip', 'x-a', '1'];
  assert.deepEqual(decode(responseHeaders(header, anyone, 'gzip')), all);
});

test('trailers() has the status, and grpc-message only if there is one', () => {
  assert.deepEqual(decode(trailers({ code: Status.OK, details: '' }, nothing, anyone)), [
    'grpc-status',
    '0',
  ]);
  assert.deepEqual(
    decode(trailersOnly({ code: 5, details: 'gone' }, { trailer: nothing, peer: anyone })),
    [...ok, 'grpc-status', '5', 'grpc-message', 'gone'],
  );
});

test('trailers() percent-encodes the message as well-formed UTF-8', () => {
  assert.equal(messageOf('plain text, ~ and !'), 'plain text, ~ and !');
  assert.equal(messageOf('100 %'), '100 %25');
  assert.equal(messageOf('a\tb\r\nc\u007f'), 'a%09b%0D%0Ac%7F');
  assert.equal(messageOf('\u00e9\u{1f600}'), '%C3%A9%F0%9F%98%80');
  assert.equal(messageOf('\ud800'), '%EF%BF%BD');
});

test('trailers() percent-encodes leading and trailing spaces of the message', () => {
  assert.equal(messageOf(' a b '), '%20a b%20');
  assert.equal(messageOf('  \u00e9  '), '%20 %C3%A9 %20');
  assert.equal(messageOf(' '), '%20');
  assert.equal(messageOf('   '), '%20 %20');
});

test('percentEncode() truncates at character boundaries, and reads no more than it returns', () => {
  assert.equal(percentEncode('abc', 2), 'ab');
  assert.equal(percentEncode('a\u00e9', 6), 'a');
  assert.equal(percentEncode('a\u00e9', 7), 'a%C3%A9');
  assert.equal(percentEncode('a\u{1f600}b', 12), 'a');
  assert.equal(percentEncode('a%', 3), 'a');
  assert.equal(percentEncode('ab c', 3), 'ab');
  assert.equal(percentEncode('a bc', 4), 'a bc');
  assert.equal(percentEncode('ab ', 4), 'ab');
  assert.equal(percentEncode('ab ', 5), 'ab%20');
  for (const most of [0, -60]) assert.equal(percentEncode('x', most), '');
  // The full encoding would exceed the maximum length of a string.
  assert.equal(percentEncode('\u00e9'.repeat(2 ** 27), 4096), '%C3%A9'.repeat(682));
});

test('trailers() truncates the message to 4 KiB, encoded', () => {
  assert.equal(messageOf('x'.repeat(5000)), 'x'.repeat(4096));
  assert.equal(messageOf('%'.repeat(4_000_000)), '%25'.repeat(1365));
});

/** The trailers of a failed call, for a peer with this limit. */
function ending(maxHeaderListSize: number, metadata: Record<string, string | Uint8Array>) {
  const trailer = new LazyMetadata([]);
  for (const [name, value] of Object.entries(metadata)) trailer.set(name, value);
  const status = { code: Status.ABORTED, details: 'm'.repeat(9000) };
  return decode(trailers(status, trailer, { maxHeaderListSize }));
}

test('trailers() drops metadata, then the message, but never the code, if they are too large', () => {
  const code = ['grpc-status', '10'];
  const message = ['grpc-message', 'm'.repeat(4096)];
  const small = ['grpc-retry-pushback-ms', '500'];
  const rich = { 'grpc-status-details-bin': new Uint8Array(5000), 'grpc-retry-pushback-ms': '500' };

  assert.deepEqual(ending(Infinity, rich), [...code, ...message, ...small]);
  for (const most of [8192, 4300, 4200, 1000, 200, 100, 64, 0]) {
    const fields = ending(most, { ...rich, 'x-a': '1' });
    assert.deepEqual(fields.slice(0, 2), code);
    // The code alone takes 45 bytes.
    assert.ok(listSize(fields) <= Math.max(most, 45), `${most}`);
    if (most >= 1000) assert.equal(fields[2], 'grpc-message');
  }
  assert.deepEqual(ending(4300, { ...rich, 'x-a': '1' }), [
    ...code,
    ...message,
    ...small,
    'x-a',
    '1',
  ]);
  assert.deepEqual(ending(0, rich), code);
});

test("responseHeaders() rejects headers above the server's limit or the peer's", () => {
  const header = new LazyMetadata([]);
  header.set('x-a', 'x'.repeat(8192));
  assert.throws(() => responseHeaders(header, anyone), { name: 'RangeError' });
  header.set('x-a', 'x'.repeat(7900));
  const fields = decode(responseHeaders(header, anyone, 'identity'));
  assert.ok(listSize(fields) <= 8192);
  assert.throws(() => responseHeaders(header, { maxHeaderListSize: 4096 }), {
    name: 'ExpectedError',
  });
  // Fields that gRPC requires are always sent.
  assert.deepEqual(decode(responseHeaders(nothing, { maxHeaderListSize: 0 })), ok);
});

test('statusOf() uses the status of a ServerError, and hides other errors', (t) => {
  const emitWarning = t.mock.method(process, 'emitWarning', () => {});
  const codeOf = (error: unknown) => statusOf(error, '/a/B').code;

  assert.equal(codeOf(new ServerError(Status.NOT_FOUND, 'x')), Status.NOT_FOUND);
  assert.equal(codeOf(new AbortError()), Status.CANCELLED);
  assert.equal(emitWarning.mock.callCount(), 0);
  const secret = statusOf(new Error('secret'), '/a/B');
  assert.deepEqual(secret, { code: Status.UNKNOWN, details: 'Unknown server error occurred' });
  assert.match(String(emitWarning.mock.calls[0]?.arguments[0]), /\/a\/B.*secret/);
  assert.equal(codeOf(undefined), Status.UNKNOWN);
});

test('send() continues after a drain that came before writable() was awaited', async () => {
  const turns: (() => void)[] = [];
  const scheduler = new Scheduler((turn) => void turns.push(turn));
  const flow = scheduler.createFlow();
  const stream = {
    flow,
    closed: false,
    messageBytes: 100_000,
    respond() {},
    write: () => true,
    keepLast() {},
  };
  const head = { fields: [], responseEncoding: undefined };
  const method = {
    path: '/a.B/C',
    responseStream: true,
    encode: (length: number) => new Uint8Array(length),
  };
  // They have what is asked of them here.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const parts = { stream, head, method } as unknown as ConstructorParameters<
    typeof ResponseWriter
  >[0];
  let goneOn = 0;
  const sendOne = async (response: ResponseWriter) => {
    if (!(await response.send(16_000))) await response.writable();
    goneOn++;
  };

  // The work of more than three turns: sending is deferred, and exceeds the flow's quota.
  scheduler.createFlow().spend(100_000);
  for (let i = 0; i < 70; i++) void sendOne(new ResponseWriter(parts));
  for (let i = 0; i < 20; i++) {
    for (const turn of turns.splice(0)) turn();
    await immediate();
  }

  assert.equal(goneOn, 70);
});

test('send() encodes nothing for a stream that is closed, and lets only a response stream wait', () => {
  const stream = { closed: true, messageBytes: 0 };
  const head = { fields: [], responseEncoding: undefined };
  for (const responseStream of [false, true]) {
    const encode = () => assert.fail('encodes');
    const method = { path: '/a.B/C', responseStream, encode };
    // They have what is asked of them here.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const parts = { stream, head, method } as unknown as ConstructorParameters<
      typeof ResponseWriter
    >[0];

    assert.equal(new ResponseWriter(parts).send('a message'), !responseStream);
  }
});
