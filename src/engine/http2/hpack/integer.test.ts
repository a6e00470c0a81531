import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockReader, BlockWriter, HpackError, readInteger, writeInteger } from './primitives.ts';
import { withRandom } from '../../../../test/hpack/random.ts';

const largest = 2 ** 31 - 1;

function write(value: number, mask: number, pattern = 0): number[] {
  const writer = new BlockWriter(6);
  writeInteger(writer, value, { pattern, mask });
  return [...writer.written()];
}

function read(octets: readonly number[], mask: number): number {
  return readInteger(new BlockReader(Buffer.from(octets)), mask);
}

test('readInteger() and writeInteger() agree with RFC 7541 appendix C.1', () => {
  const examples = [
    { value: 10, mask: 0x1f, octets: [0x0a] },
    { value: 1337, mask: 0x1f, octets: [0x1f, 0x9a, 0x0a] },
    { value: 42, mask: 0xff, octets: [0x2a] },
  ];

  for (const { value, mask, octets } of examples) {
    assert.deepEqual(write(value, mask), octets);
    assert.equal(read(octets, mask), value);
  }
});

test('writeInteger() writes the pattern, and readInteger() ignores it', () => {
  assert.deepEqual(write(2, 0x7f, 0x80), [0x82]);
  assert.deepEqual(write(62, 0x0f, 0x10), [0x1f, 0x2f]);
  assert.equal(read([0xe2], 0x1f), 2);
  assert.equal(read([0xff, 0x2f], 0x0f), 62);
});

test('readInteger() reads what writeInteger() wrote, for every prefix', async () => {
  await withRandom((random) => {
    for (const mask of [0x0f, 0x1f, 0x3f, 0x7f]) {
      const edges = [0, mask - 1, mask, mask + 1, mask + 127, mask + 128, largest];
      const others = Array.from({ length: 1000 }, () => random.below(2 ** random.below(32)));
      for (const value of [...edges, ...others]) {
        assert.equal(read(write(value, mask), mask), value, `${value} with ${mask}`);
      }
    }
  });
});

test('readInteger() accepts redundant octets, up to six in total', () => {
  assert.equal(read([0x1f, 0x80, 0x80, 0x80, 0x80, 0x00], 0x1f), 31);
  assert.throws(() => read([0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 0x1f), HpackError);
});

test('readInteger() rejects more than 2^31 - 1', () => {
  assert.equal(read([0x7f, 0x80, 0xff, 0xff, 0xff, 0x07], 0x7f), largest);
  for (const octets of [
    [0x7f, 0x81, 0xff, 0xff, 0xff, 0x07],
    [0x7f, 0x80, 0xff, 0xff, 0xff, 0x0f],
    [0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f],
    [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  ]) {
    assert.throws(() => read(octets, 0x7f), {
      name: 'HpackError',
      message:
        'Cannot decode a header block: an integer is at most 2147483647, in at most 6 octets',
    });
  }
});

test('readInteger() rejects a truncated integer', () => {
  for (const octets of [[], [0x1f], [0x1f, 0x9a], [0x1f, 0xff, 0xff, 0xff, 0xff]]) {
    assert.throws(() => read(octets, 0x1f), {
      name: 'HpackError',
      message: 'Cannot decode a header block: it ends in the middle of a field',
    });
  }
});
