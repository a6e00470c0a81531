import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';
import { createHpackDecoder } from '../http2/hpack/decoder.ts';
import { LazyMetadata } from './metadata.ts';
import { responseHeaders, statusOf, trailers, trailersOnly } from './status.ts';

const nothing = new LazyMetadata([]);
const ok = [':status', '200', 'content-type', 'application/grpc'];

function decode(block: Buffer): readonly string[] {
  return createHpackDecoder({ maxHeaderListSize: 100_000 }).decode(block).fields;
}

function messageOf(details: string): string | undefined {
  return decode(trailers({ code: Status.INTERNAL, details }, nothing))[3];
}

test('response headers are 200 and gRPC, with the encoding and the metadata there is', () => {
  const header = new LazyMetadata([]);
  header.set('x-a', '1');
  assert.deepEqual(decode(responseHeaders(nothing)), ok);
  const all = [...ok, 'grpc-encoding', 'gzip', 'x-a', '1'];
  assert.deepEqual(decode(responseHeaders(header, 'gzip')), all);
});

test('trailers have the status, and no message where there is none', () => {
  assert.deepEqual(decode(trailers({ code: Status.OK, details: '' }, nothing)), [
    'grpc-status',
    '0',
  ]);
  assert.deepEqual(decode(trailersOnly({ code: 5, details: 'gone' }, { trailer: nothing })), [
    ...ok,
    'grpc-status',
    '5',
    'grpc-message',
    'gone',
  ]);
});

test('a message is percent-encoded UTF-8, and well-formed whatever it was', () => {
  assert.equal(messageOf('plain text, ~ and !'), 'plain text, ~ and !');
  assert.equal(messageOf('100 %'), '100 %25');
  assert.equal(messageOf('a\tb\r\nc\u007f'), 'a%09b%0D%0Ac%7F');
  assert.equal(messageOf('\u00e9\u{1f600}'), '%C3%A9%F0%9F%98%80');
  assert.equal(messageOf('\ud800'), '%EF%BF%BD');
});

test('statusOf() says of an error what it says of itself, and hides what was not meant', (t) => {
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
