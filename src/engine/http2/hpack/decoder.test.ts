import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHpackDecoder } from './decoder.ts';
import { HpackError } from './primitives.ts';
import {
  block,
  field,
  get,
  huffman,
  huffmanOctets,
  insert,
  plain,
  randomBlock,
  resize,
} from '../../../../test/hpack/blocks.ts';
import { withRandom } from '../../../../test/hpack/random.ts';

const maxHeaderListSize = 4096;

function rejects(rule: string): { name: string; message: string } {
  return { name: 'HpackError', message: `Cannot decode a header block: ${rule}` };
}

test('decode() returns one character for each octet of a value', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });
  const value = Array.from({ length: 256 }, (_, octet) => String.fromCharCode(octet)).join('');

  const { fields } = decoder.decode(block(plain('x', value), plain('y', huffman(value))));

  assert.deepEqual(fields, ['x', value, 'y', value]);
});

test('decode() returns no fields for an empty block', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });

  assert.deepEqual(decoder.decode(Buffer.alloc(0)).fields, []);
});

test('decode() finds a new field at index 62 in the same block, also for its name', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });

  const { fields } = decoder.decode(block(insert('a', '1'), field(62), plain(62, '2')));

  assert.deepEqual(fields, ['a', '1', 'a', '1', 'a', '2']);
});

test('decode() uses the name of an entry that its own insertion evicts', () => {
  const decoder = createHpackDecoder({ maxTableSize: 40, maxHeaderListSize });

  const { fields } = decoder.decode(block(insert('name', 'old'), insert(62, 'new'), field(62)));

  assert.deepEqual(fields, ['name', 'old', 'name', 'new', 'name', 'new']);
});

test('decode() rejects an index without an entry', () => {
  for (const index of [0, 62, 100, 2 ** 31 - 1]) {
    const decoder = createHpackDecoder({ maxHeaderListSize });
    assert.throws(() => decoder.decode(field(index)), rejects(`there is no field ${index}`));
  }
  const decoder = createHpackDecoder({ maxHeaderListSize });
  assert.throws(() => decoder.decode(insert(62, 'x')), rejects('there is no field 62'));
});

test('decode() rejects a truncated block, unless it ends between two fields', () => {
  const parts = [field(200), insert('name', 'value'), plain('name', huffman('value'))];
  const before = insert('name', 'value');
  for (const part of parts) {
    for (let length = 1; length < part.length; length++) {
      const decoder = createHpackDecoder({ maxHeaderListSize });
      const cut = block(before, part.subarray(0, length));
      assert.throws(() => decoder.decode(cut), rejects('it ends in the middle of a field'));
    }
  }
});

test('decode() rejects a string longer than the block', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });
  const long = Buffer.from('007fffffffff0761', 'hex');

  assert.throws(() => decoder.decode(long), HpackError);
});

test('decode() rejects a Huffman string with the end-of-string symbol', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });
  const end = plain('x', huffmanOctets(Buffer.from('ffffffff', 'hex')));

  assert.throws(() => decoder.decode(end), rejects('the end of a string may not be in it'));
});

test('decode() accepts table size updates at the beginning of a block, and evicts at once', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });
  decoder.decode(insert('a', '1'));

  const { fields } = decoder.decode(block(resize(0), resize(4096), get));

  assert.deepEqual(fields, [':method', 'GET']);
  assert.equal(decoder.table.count, 0);
  assert.equal(decoder.table.maxSize, 4096);
});

test('decode() rejects a table size update after a field', () => {
  for (const before of [get, insert('a', '1'), block(resize(100), get)]) {
    const decoder = createHpackDecoder({ maxHeaderListSize });
    assert.throws(
      () => decoder.decode(block(before, resize(0))),
      rejects('the size of the dynamic table changes before the first field'),
    );
  }
});

test('decode() rejects a table size above the announced one', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });

  assert.throws(
    () => decoder.decode(block(resize(4097), get)),
    rejects('the dynamic table has at most 4096 octets'),
  );
});

test('decode() keeps the identifying fields of a list that is too large, and the dynamic table in sync', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize: 100 });

  const exact = decoder.decode(block(plain('a', '1'.repeat(67))));
  const { fields, tooLarge } = decoder.decode(
    block(get, plain(':path', '/'.repeat(257)), insert('b', '2'), get, plain('content-type', 'c')),
  );
  const next = decoder.decode(field(62));

  assert.equal(exact.tooLarge, false);
  assert.deepEqual([fields, tooLarge], [[':method', 'GET', 'content-type', 'c'], true]);
  assert.deepEqual([next.fields, next.tooLarge], [['b', '2'], false]);
});

test('decode() still rejects errors after a list became too large', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize: 0 });

  assert.throws(() => decoder.decode(block(get, field(62))), HpackError);
});

test('decode() stops at a list above the maximum decoded size', () => {
  const maxDecodedSize = 10_000;
  const decoder = createHpackDecoder({ maxHeaderListSize, maxDecodedSize, cache: false });
  const most = block(insert('a', 'b'.repeat(67)), Buffer.alloc(99, field(62)));

  const { size, tooLarge } = decoder.decode(most);

  assert.deepEqual([size, tooLarge], [maxDecodedSize, true]);
  assert.throws(() => decoder.decode(Buffer.alloc(101, field(62))), {
    ...rejects(`a list has at most ${maxDecodedSize} bytes`),
    isExcess: true,
  });
});

test('decode() decodes a bomb of 4 GiB without keeping it', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize: 65_536, cache: false });
  decoder.decode(insert('x', 'y'.repeat(4000)));
  const bomb = Buffer.alloc(2 ** 20, field(62));
  const before = process.memoryUsage().heapUsed;

  const { fields, tooLarge } = decoder.decode(bomb);

  assert.deepEqual([fields, tooLarge], [[], true]);
  assert.ok(process.memoryUsage().heapUsed - before < 2 ** 22);
});

test('decode() throws only HpackErrors, whatever the octets', async () => {
  await withRandom((random) => {
    let refused = 0;
    for (let i = 0; i < 20_000; i++) {
      const decoder = createHpackDecoder({ maxTableSize: 200, maxHeaderListSize: 500 });
      const octets = randomBlock(random, decoder.table, 200);
      for (let changes = random.below(4); changes > 0 && octets.length > 0; changes--) {
        octets.writeUInt8(random.below(256), random.below(octets.length));
      }
      try {
        decoder.decode(octets.subarray(random.oneIn(4) ? random.below(4) : 0));
      } catch (error) {
        assert.ok(error instanceof HpackError, String(error));
        refused++;
      }
    }
    assert.ok(refused > 1000 && refused < 19_000, `${refused} refused`);
  });
});
