import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Status } from 'nice-grpc-common';
import { createHpackDecoder } from '../http2/hpack/decoder.ts';
import { listSize } from '../http2/hpack/header_list.ts';
import { LazyMetadata } from './metadata.ts';
import { percentEncode } from './percent_encoding.ts';
import { createOwnFields, responseHeaders, trailers, trailersOnly } from './response_headers.ts';

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
  assert.deepEqual(decode(responseHeaders(nothing, { peer: anyone })), ok);
  const all = [...ok, 'grpc-encoding', 'gzip', 'x-a', '1'];
  assert.deepEqual(decode(responseHeaders(header, { peer: anyone, encoding: 'gzip' })), all);
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
  assert.throws(() => responseHeaders(header, { peer: anyone }), { name: 'RangeError' });
  header.set('x-a', 'x'.repeat(7900));
  const fields = decode(responseHeaders(header, { peer: anyone, encoding: 'identity' }));
  assert.ok(listSize(fields) <= 8192);
  assert.throws(() => responseHeaders(header, { peer: { maxHeaderListSize: 4096 } }), {
    name: 'ExpectedError',
  });
  // Fields that gRPC requires are always sent.
  assert.deepEqual(decode(responseHeaders(nothing, { peer: { maxHeaderListSize: 0 } })), ok);
});

test('every response has the fields of its server', () => {
  const own = createOwnFields(['x-from', 'here']);
  const header = new LazyMetadata([]);
  header.set('x-a', '1');
  const status = { code: Status.ABORTED, details: '' };

  const plain = decode(responseHeaders(nothing, { peer: anyone, own }));
  const more = decode(responseHeaders(header, { peer: anyone, own }));
  const only = decode(trailersOnly(status, { trailer: nothing, peer: anyone, own }));

  assert.deepEqual(plain, [...ok, 'x-from', 'here']);
  assert.deepEqual(more, [...ok, 'x-from', 'here', 'x-a', '1']);
  assert.deepEqual(only, [...ok, 'x-from', 'here', 'grpc-status', '10']);
});
