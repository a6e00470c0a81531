import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHead } from './call_head.ts';

function responseEncoding(...fields: string[]): string | undefined {
  const request = { method: 'POST', path: '/a.B/C', scheme: 'http', authority: '' };
  return readHead({ ...request, fields, contentLength: undefined }).responseEncoding;
}

test("readHead() chooses the request's encoding for the response, if the caller accepts it", () => {
  const takes = ['grpc-accept-encoding', 'identity, deflate ,gzip'];

  assert.equal(responseEncoding('grpc-encoding', 'gzip', ...takes), 'gzip');
  assert.equal(responseEncoding('grpc-encoding', 'deflate', ...takes), 'deflate');
  assert.equal(responseEncoding('grpc-encoding', 'identity', ...takes), undefined);
  assert.equal(responseEncoding('grpc-encoding', 'gzip'), undefined);
  assert.equal(responseEncoding(...takes), undefined);
});
