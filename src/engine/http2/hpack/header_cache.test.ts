import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHpackDecoder, type HpackDecoder } from './decoder.ts';
import type { HeaderList } from './header_list.ts';
import { HpackError } from './primitives.ts';
import {
  block,
  field,
  get,
  insert,
  plain,
  randomBlock,
  resize,
} from '../../../../test/hpack/blocks.ts';
import { withRandom } from '../../../../test/hpack/random.ts';

const maxHeaderListSize = 4096;

/** True if the decoder returns the same list for a block as before. */
function isKept(decoder: HpackDecoder, octets: Buffer): boolean {
  return decoder.decode(octets) === decoder.decode(octets);
}

test('decode() returns the same list again for a block that changes no table', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });
  decoder.decode(insert('a', '1'));

  assert.ok(isKept(decoder, block(get, field(62), plain('b', '2'))));
});

test('decode() caches nothing without a cache', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize, cache: false });

  assert.ok(!isKept(decoder, get));
});

test('decode() caches no block that inserts or resizes, even if the table looks unchanged', () => {
  for (const octets of [insert('a', '1'), block(resize(4096), get)]) {
    const decoder = createHpackDecoder({ maxHeaderListSize });
    for (let i = 0; i < 200; i++) decoder.decode(insert('a', '1'));

    assert.ok(!isKept(decoder, octets));
  }
});

test('decode() decodes an equal block again once the table has changed', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });

  decoder.decode(insert('a', '1'));
  const before = [decoder.decode(field(62)).fields, decoder.decode(field(62)).fields];
  decoder.decode(insert('b', '2'));
  const after = [decoder.decode(field(62)).fields, decoder.decode(field(62)).fields];
  decoder.decode(resize(0));

  assert.deepEqual(before.flat(), ['a', '1', 'a', '1']);
  assert.deepEqual(after.flat(), ['b', '2', 'b', '2']);
  assert.throws(() => decoder.decode(field(62)), HpackError);
});

test('decode() caches its own copy of a block', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });
  const octets = block(get);

  decoder.decode(octets);
  octets.set(field(3));

  assert.deepEqual(decoder.decode(octets).fields, [':method', 'POST']);
});

test('decode() caches neither long blocks nor long lists', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize: 2 ** 20, maxTableSize: 4096 });
  decoder.decode(insert('x', 'y'.repeat(3000)));

  assert.ok(isKept(decoder, block(field(62))));
  assert.ok(!isKept(decoder, block(field(62), field(62))));
  assert.ok(isKept(decoder, plain('a', 'b'.repeat(506))));
  assert.ok(!isKept(decoder, plain('a', 'b'.repeat(507))));
});

test('decode() keeps repeated blocks among others, up to 64', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });
  const blocks = Array.from({ length: 65 }, (_, i) => plain('x', String(i)));
  const lists = blocks.slice(0, 64).map((octets) => decoder.decode(octets));

  const again = blocks.slice(0, 64).map((octets) => decoder.decode(octets));
  decoder.decode(block(...blocks.slice(64)));
  const keepsOn = isKept(decoder, get);
  const afterwards = blocks.slice(0, 64).map((octets) => decoder.decode(octets));

  assert.ok(lists.every((list, i) => list === again[i]));
  assert.ok(lists.every((list, i) => list !== afterwards[i]));
  assert.ok(keepsOn);
});

test('decode() caches at most 32 KiB of blocks and lists', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });
  const blocks = Array.from({ length: 12 }, (_, i) =>
    block(plain('x', String(i)), ...Array.from({ length: 64 }, () => field(16))),
  );
  // A list of 64 * 60 + 34 octets or more.
  const lists = blocks.slice(0, 8).map((octets) => decoder.decode(octets));
  const again = blocks.slice(0, 8).map((octets) => decoder.decode(octets));

  for (const octets of blocks) decoder.decode(octets);

  assert.ok(lists.every((list, i) => list === again[i]));
  assert.ok(lists.every((list, i) => list !== decoder.decode(blocks[i] ?? get)));
});

test('decode() empties the cache when the table has changed', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });
  const large = block(...Array.from({ length: 64 }, () => field(16)));

  for (let i = 0; i < 20; i++) {
    decoder.decode(insert('a', '1'));
    assert.ok(isKept(decoder, large));
  }
});

test('decode() stops caching for a while after a full cache without a hit', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize });
  // Its hit was before the table changed.
  assert.ok(isKept(decoder, get));
  decoder.decode(insert('a', '1'));
  for (let i = 0; i < 65; i++) decoder.decode(plain('x', String(i)));

  const resting = Array.from({ length: 500 }, () => isKept(decoder, get));
  const afterwards = isKept(decoder, get);

  assert.ok(!resting.includes(true));
  assert.ok(afterwards);
});

test('decode() returns the same lists with and without a cache', async () => {
  await withRandom((random) => {
    let kept = 0;
    let refused = 0;
    for (let round = 0; round < 200; round++) {
      const size = random.pick([0, 64, 200, 4096]);
      const options = { maxTableSize: size, maxHeaderListSize: random.pick([200, 2000]) };
      const cached = createHpackDecoder(options);
      const plain = createHpackDecoder({ ...options, cache: false });
      const lists = new Set<unknown>();
      const blocks: Buffer[] = [Buffer.alloc(0)];
      for (let i = 0; i < 100; i++) {
        const isNew = random.oneIn(3);
        const next = isNew
          ? randomBlock(random, plain.table, size)
          : blocks.at(-1 - random.below(4));
        const octets = next ?? get;
        if (isNew) blocks.push(octets);
        const expected = outcome(plain, octets);
        const actual = outcome(cached, octets);
        assert.deepEqual(said(actual), said(expected));
        assert.deepEqual(tableOf(cached), tableOf(plain));
        if (typeof actual === 'string') {
          refused++;
          break;
        }
        if (lists.has(actual)) kept++;
        lists.add(actual);
      }
    }
    assert.ok(kept > 1000, `${kept} kept`);
    assert.ok(refused < 200, `${refused} refused`);
  });
});

function outcome(decoder: HpackDecoder, octets: Buffer): HeaderList | string {
  try {
    return decoder.decode(octets);
  } catch (error) {
    return String(error);
  }
}

/** The contents of a list, cached or not. */
function said(result: HeaderList | string): unknown {
  return typeof result === 'string' ? result : [result.fields, result.tooLarge];
}

function tableOf({ table }: HpackDecoder): unknown[] {
  const fields = Array.from({ length: table.count }, (_, place) => table.get(place));
  return [table.size, table.maxSize, table.generation, fields];
}
