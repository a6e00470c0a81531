import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { usedMemory } from '../../test/support/memory.ts';
import { encodeFramed } from '../engine/index.ts';
import { EchoDefinition } from '../../test/echo/gen/echo.ts';
import { ExtensionNumberResponse } from '../gen/grpc/reflection/v1/reflection.ts';
import { CountingReader, withOwnCodec } from './own_codec.ts';

const count = 300_000;

/**
 * Packed fields of numbers: their bytes, their values, and an array for them. V8 remembers the kind of numbers by the
 * place that creates an array, so each field has its own.
 */
const packed: Record<
  string,
  { bytes: number[]; read: (reader: CountingReader) => unknown; values: unknown[] }
> = {
  int32: { bytes: [0x96, 0x01], read: (reader) => reader.int32(), values: [] },
  int64: { bytes: [0x96, 0x01], read: (reader) => Number(reader.int64()), values: [] },
  uint64: { bytes: [0x96, 0x01], read: (reader) => Number(reader.uint64()), values: [] },
  bool: { bytes: [0x01], read: (reader) => reader.bool(), values: [] },
  double: {
    bytes: [0, 0, 0, 0, 0, 0, 0xf8, 0x3f],
    read: (reader) => reader.double(),
    values: [],
  },
};

for (const [type, { bytes, read, values }] of Object.entries(packed)) {
  test(`CountingReader charges a packed ${type} for its memory in an array, within a factor of two`, async () => {
    const field = Buffer.alloc(bytes.length * count, Buffer.from(bytes));
    const reader = new CountingReader(field, Infinity);
    const before = await usedMemory();

    while (reader.pos < reader.len) values.push(read(reader));
    const taken = (await usedMemory()) - before;

    assert.equal(values.length, count);
    assert.ok(reader.spent > 0.9 * taken, `counts ${reader.spent} for ${taken}`);
    assert.ok(reader.spent < 2 * taken, `counts ${reader.spent} for ${taken}`);
  });
}

test('CountingReader reads numbers as they were written', () => {
  const extensionNumber = [0, 1, -1, 127, 128, 2 ** 31 - 1, -(2 ** 31)];
  const numbers = { baseTypeName: 'x', extensionNumber };
  const written = Buffer.from(ExtensionNumberResponse.encode(numbers).finish());

  const message = ExtensionNumberResponse.decode(new CountingReader(written, Infinity));

  assert.deepEqual(message, numbers);
});

test('CountingReader charges everything that generated code reads', () => {
  const folder = join(import.meta.dirname, '../gen');
  const read = new Set<string>();
  for (const file of globSync('**/*.ts', { cwd: folder })) {
    const calls = readFileSync(join(folder, file), 'utf8').matchAll(/\breader\.(?<name>\w+)\(/g);
    for (const { groups } of calls) read.add(groups?.['name'] ?? '');
  }

  const counted = new Set(['uint32', ...Object.getOwnPropertyNames(CountingReader.prototype)]);

  assert.ok(read.size > 5);
  assert.deepEqual([...read.difference(counted)], []);
});

test('withOwnCodec() counts nested messages that it encodes', () => {
  let work = 0;
  const by = { spend: (units: number) => void (work += units) };
  const { responseType } = withOwnCodec(EchoDefinition).methods.clientStream;
  assert.ok(encodeFramed in responseType && typeof responseType[encodeFramed] === 'function');
  const requests = Array.from({ length: 10_000 }, () => ({ text: '' }));

  responseType[encodeFramed]({ requests }, by);

  // A unit is a quarter of a microsecond; each nested message takes about a tenth of one.
  assert.ok(work >= 2500 && work <= 10_000, `${work} units`);
});
