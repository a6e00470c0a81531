import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LazyMetadata } from './metadata.ts';

function fieldsOf(metadata: LazyMetadata): string[] {
  const fields: string[] = [];
  metadata.appendTo(fields);
  return fields;
}

test('LazyMetadata has what a caller sent, and none of what belongs to the protocol', () => {
  const protocol = ['content-type', 'application/grpc', 'te', 'trailers', 'grpc-timeout', '1S'];
  const encodings = ['grpc-encoding', 'gzip', 'grpc-accept-encoding', 'gzip'];
  const own = ['user-agent', 'go', 'x-a', '1', 'x-a', '2', 'x-bin', 'AAEC', 'x-bin', '/w==,gA'];
  const metadata = new LazyMetadata([...protocol, ...encodings, ...own]);

  assert.deepEqual(
    [...metadata].map(([key]) => key),
    ['user-agent', 'x-a', 'x-bin'],
  );
  assert.equal(metadata.get('x-a'), '1, 2');
  assert.deepEqual(metadata.getAll('X-Bin'), [
    Buffer.from([0, 1, 2]),
    Buffer.from([255]),
    Buffer.from([128]),
  ]);
});

test('LazyMetadata passes over values that no metadata can have', () => {
  const metadata = new LazyMetadata(['x-a', 'caf\u00e9', 'x!', '1', 'x-b', 'fine']);
  assert.deepEqual([...metadata], [['x-b', ['fine']]]);
});

test('LazyMetadata is sent as it was filled, binary values without padding', () => {
  const metadata = new LazyMetadata([]);
  assert.ok(metadata.isEmpty);
  metadata
    .set('x-a', '1')
    .append('x-a', '2')
    .set('x-bin', [new Uint8Array([1]), Buffer.alloc(3)]);
  metadata.set('gone', 'x').delete('gone');
  metadata.set('grpc-status', '3');

  assert.ok(!metadata.isEmpty);
  assert.ok(metadata.has('x-a') && !metadata.has('gone'));
  assert.deepEqual(fieldsOf(metadata), ['x-a', '1, 2', 'x-bin', 'AQ', 'x-bin', 'AAAA']);
});

test('LazyMetadata that nobody has touched sends nothing', () => {
  assert.deepEqual(fieldsOf(new LazyMetadata([])), []);
  const read = new LazyMetadata([]);
  assert.equal(read.get('x'), undefined);
  assert.ok(read.isEmpty);
});
