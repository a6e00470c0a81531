import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LazyMetadata, maxListSize } from './metadata.ts';

function fieldsOf(metadata: LazyMetadata): readonly string[] {
  return metadata.encode().fields;
}

test('LazyMetadata has what the caller sent, without fields of the protocol', () => {
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

test('LazyMetadata skips invalid values', () => {
  const metadata = new LazyMetadata(['x-a', 'caf\u00e9', 'x!', '1', 'x-b', 'fine']);
  assert.deepEqual([...metadata], [['x-b', ['fine']]]);
});

test('LazyMetadata encodes its entries, binary values without padding', () => {
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

test('LazyMetadata tells names from equal values', () => {
  const metadata = new LazyMetadata([]);
  metadata.set('a', 'b').set('b', '1').set('b', '2').set('c', 'a');

  assert.deepEqual([metadata.get('a'), metadata.get('b'), metadata.get('C')], ['b', '2', 'a']);
  metadata.delete('B');
  assert.deepEqual(fieldsOf(metadata), ['a', 'b', 'c', 'a']);
  metadata.append('c', 'd');
  metadata.delete('a');
  assert.deepEqual(fieldsOf(metadata), ['c', 'a, d']);
  metadata.delete('c');
  assert.ok(metadata.isEmpty);
});

test('dropOptional() drops what setOptional() has set, once', () => {
  const metadata = new LazyMetadata([]);
  assert.equal(metadata.dropOptional(), false);
  metadata.set('a', '1');
  metadata.setOptional('b', '2');
  assert.deepEqual(fieldsOf(metadata), ['a', '1', 'b', '2']);

  assert.equal(metadata.dropOptional(), true);

  assert.deepEqual(fieldsOf(metadata), ['a', '1']);
  assert.equal(metadata.dropOptional(), false);
});

test('LazyMetadata leaves out simple values that exceed the maximum size', () => {
  const metadata = new LazyMetadata([]);
  metadata.set('a', 'x'.repeat(maxListSize)).set('b', '1');

  assert.deepEqual(metadata.encode(), { fields: ['b', '1'], size: 34, isWhole: false });
});

test('LazyMetadata without entries encodes nothing', () => {
  assert.deepEqual(fieldsOf(new LazyMetadata([])), []);
  const read = new LazyMetadata([]);
  assert.equal(read.get('x'), undefined);
  assert.ok(read.isEmpty);
});

test('LazyMetadata encodes values without leading and trailing white space', () => {
  const metadata = new LazyMetadata([]);
  metadata.set('x-a', '  ann b ').set('x-b', '   ');

  assert.deepEqual(metadata.encode(), {
    fields: ['x-a', 'ann b', 'x-b', ''],
    size: 3 + 5 + 32 + 3 + 32,
    isWhole: true,
  });
});

test('LazyMetadata rejects what HTTP/2 cannot carry, even if an array was modified later', () => {
  const metadata = new LazyMetadata([]);
  for (const value of ['a\nb', 'caf\u00e9', '\u{1f600}']) {
    metadata.set('x-a', 'b');
    metadata.getAll('x-a')[0] = value;
    assert.throws(() => metadata.encode(), { name: 'TypeError', message: /"x-a"/ });
  }
  // Later changes are validated again.
  metadata.set('x-a', 'c');
  assert.deepEqual(fieldsOf(metadata), ['x-a', 'c']);
});

test('LazyMetadata drops names with too large values before it encodes them', () => {
  const metadata = new LazyMetadata([]);
  const values = Array.from({ length: 3 }, () => Buffer.alloc(3000));
  metadata
    .set('x-large-bin', new Uint8Array(2 ** 29))
    .set('x-three-bin', values)
    .set('x-a', 'b');

  assert.deepEqual(metadata.encode(), { fields: ['x-a', 'b'], size: 36, isWhole: false });
  metadata.delete('x-three-bin');
  metadata.set('x-large-bin', Buffer.alloc(6000));
  const { size, isWhole } = metadata.encode();
  assert.deepEqual([size, isWhole], [8000 + 11 + 32 + 36, true]);
  assert.ok(size <= maxListSize);
});
