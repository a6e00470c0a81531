import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ErrorCode, StreamError } from './errors.ts';
import { readOversized, readRequestHeaders, readTrailers } from './request_headers.ts';

const good = [':method', 'POST', ':scheme', 'http', ':path', '/a.B/C', ':authority', 'x:1'];

/** True if a list is rejected as malformed (RFC 9113 section 8.1.1). */
function isMalformed(list: readonly string[]): boolean {
  try {
    readRequestHeaders(1, list);
    return false;
  } catch (error) {
    return error instanceof StreamError && error.code === ErrorCode.PROTOCOL_ERROR;
  }
}

test('readRequestHeaders() parses a request', () => {
  const fields = ['content-type', 'application/grpc', 'te', 'trailers', 'content-length', '7'];

  assert.deepEqual(readRequestHeaders(1, [...good, ...fields]), {
    method: 'POST',
    scheme: 'http',
    path: '/a.B/C',
    authority: 'x:1',
    fields,
    contentLength: 7,
  });
});

test('readRequestHeaders() rejects missing, repeated, unknown and late pseudo-header fields', () => {
  for (const at of [0, 2, 4]) assert.ok(isMalformed(good.toSpliced(at, 2)), `${good[at]}`);
  for (const at of [1, 3, 5]) assert.ok(isMalformed(good.with(at, '')), `${good[at - 1]}`);
  assert.ok(isMalformed([...good, ':path', '/']));
  assert.ok(isMalformed([...good, ':status', '200']));
  assert.ok(isMalformed(['x', 'y', ...good]));
  assert.equal(isMalformed(good.slice(0, 6)), false);
});

test('readRequestHeaders() rejects connection-specific fields', () => {
  for (const name of [
    'connection',
    'keep-alive',
    'proxy-connection',
    'transfer-encoding',
    'upgrade',
  ]) {
    assert.ok(isMalformed([...good, name, 'x']), name);
  }
  assert.ok(isMalformed([...good, 'te', 'gzip']));
  assert.equal(isMalformed([...good, 'te', 'trailers']), false);
});

test('readRequestHeaders() rejects invalid names and values', () => {
  for (const name of ['', 'A', 'a b', 'a:b', 'a\u0000', 'a\u007f', 'é']) {
    assert.ok(isMalformed([...good, name, 'x']), JSON.stringify(name));
  }
  for (const value of ['a\nb', 'a\rb', 'a\u0000b', '\n', 'x\r', '\u0000 ']) {
    assert.ok(isMalformed([...good, 'x', value]), JSON.stringify(value));
    for (const at of [1, 3, 5, 7]) assert.ok(isMalformed(good.with(at, `/${value}`)), `${at}`);
  }
  assert.equal(isMalformed([...good, 'x', '']), false);
  assert.equal(isMalformed([...good, 'x', 'a b\té']), false);
});

test('readRequestHeaders() strips white space around values, and ignores the case of "te"', () => {
  const list = [...good, 'x', ' a b\t', 'y', '\t \t', 'te', ' Trailers', 'content-length', '7 '];
  const sent = [...list];

  const { fields, contentLength } = readRequestHeaders(1, list);

  assert.deepEqual(fields, ['x', 'a b', 'y', '', 'te', 'Trailers', 'content-length', '7']);
  assert.equal(contentLength, 7);
  // The list is not modified, as it may be cached.
  assert.deepEqual(list, sent);
});

test('readRequestHeaders() keeps the path unchanged', () => {
  assert.equal(readRequestHeaders(1, good.with(5, '/a.B/C ')).path, '/a.B/C ');
});

test('readRequestHeaders() rejects an invalid or repeated content-length', () => {
  for (const value of ['', '-1', '1.5', '1e3', '0x1', '9'.repeat(16)]) {
    assert.ok(isMalformed([...good, 'content-length', value]), value);
  }
  assert.ok(isMalformed([...good, 'content-length', '1', 'content-length', '1']));
});

test('readOversized() rejects invalid values in the fields that are kept', () => {
  assert.throws(() => readOversized(1, [':path', '/\r'], 10), StreamError);
  assert.equal(readOversized(1, [], 10).path, '');
});

test('readTrailers() strips values, and rejects pseudo-header fields', () => {
  const list = ['grpc-status', '0', 'x', ' y '];

  assert.deepEqual(readTrailers(1, list), ['grpc-status', '0', 'x', 'y']);
  assert.equal(list[3], ' y ');
  assert.throws(() => readTrailers(1, [':path', '/']), StreamError);
});
