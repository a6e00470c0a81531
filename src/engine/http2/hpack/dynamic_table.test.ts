import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DynamicTable } from './decoder.ts';
import type { Field } from './static_table.ts';
import { withRandom } from '../../../../test/hpack/random.ts';

function contents(table: DynamicTable): (Field | undefined)[] {
  return Array.from({ length: table.count }, (_, place) => table.get(place));
}

const a = { name: 'a', value: '1' };
const b = { name: 'b', value: '2' };
const c = { name: 'c', value: '3' };

test('insert() adds an entry at index 0, and counts 32 octets of overhead', () => {
  const table = new DynamicTable(4096);

  table.insert(a);
  table.insert(b);

  assert.deepEqual(contents(table), [b, a]);
  assert.equal(table.size, 2 * 34);
  assert.equal(table.get(2), undefined);
});

test('get() returns nothing beyond the oldest entry', () => {
  const table = new DynamicTable(4096);
  for (let count = 1; count <= 64; count++) {
    table.insert(a);
    const beyond = [count, count + 1, 2 * count, 16, 32, 64, 128].filter((at) => at >= count);
    assert.ok(beyond.every((place) => table.get(place) === undefined));
  }
});

test('insert() evicts the oldest entries, and only as many as necessary', () => {
  const table = new DynamicTable(2 * 34);

  for (const field of [a, b, c]) table.insert(field);

  assert.deepEqual(contents(table), [c, b]);
  assert.equal(table.size, 2 * 34);
});

test('insert() of an entry larger than the table empties it', () => {
  const table = new DynamicTable(2 * 34);
  table.insert(a);

  table.insert({ name: 'x', value: 'y'.repeat(2 * 34 - 32) });

  assert.deepEqual(contents(table), []);
  assert.equal(table.size, 0);
});

test('resize() evicts entries that do not fit, and a larger size allows more', () => {
  const table = new DynamicTable(100);
  for (const field of [a, b]) table.insert(field);

  table.resize(67);
  const smaller = contents(table);
  table.resize(102);
  for (const field of [a, c]) table.insert(field);

  assert.deepEqual(smaller, [b]);
  assert.deepEqual(contents(table), [c, a, b]);
});

test('generation changes with each insertion and each resize only', () => {
  const table = new DynamicTable(34);
  const generations = [table.generation];

  for (const change of [
    () => table.insert(a),
    () => table.insert(a),
    () => table.insert({ name: 'too', value: 'large' }),
    () => table.resize(34),
    () => table.resize(0),
  ]) {
    change();
    generations.push(table.generation);
  }
  table.get(0);

  assert.equal(new Set(generations).size, 6);
  assert.equal(table.generation, generations.at(-1));
});

test('DynamicTable has the same entries as a plain array, whatever the operations', async () => {
  await withRandom((random) => {
    const table = new DynamicTable(4096);
    let model: Field[] = [];
    let maxSize = 4096;
    const sizeOf = (fields: Field[]) =>
      fields.reduce((size, { name, value }) => size + name.length + value.length + 32, 0);
    for (let i = 0; i < 5000; i++) {
      if (random.oneIn(50)) {
        maxSize = random.below(random.pick([100, 5000, 20_000]));
        table.resize(maxSize);
      } else {
        const field = { name: random.text(5, 'abc'), value: random.text(30, 'xyz') };
        table.insert(field);
        model = [field, ...model];
      }
      while (sizeOf(model) > maxSize) model.pop();
      assert.deepEqual(contents(table), model);
      assert.equal(table.size, sizeOf(model));
    }
  });
});
