import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHpackDecoder } from './decoder.ts';
import { encodeHeaders, encodeTableSizeUpdate } from './encoder.ts';
import { staticTable } from './static_table.ts';
import { withRandom } from '../../../../test/hpack/random.ts';

function hex(...fields: string[]): string {
  return encodeHeaders(fields).toString('hex');
}

test('encodeHeaders() writes one octet for an entry of the static table', () => {
  assert.equal(hex(':status', '200', ':status', '404'), '888d');
  assert.equal(hex(...staticTable.flatMap(({ name, value }) => [name, value])).length, 2 * 61);
});

test('encodeHeaders() writes a name of the static table by its index, without indexing', () => {
  assert.equal(hex(':status', '302'), '0803' + Buffer.from('302').toString('hex'));
  assert.equal(hex('server', 'xyz'), '0f2703' + Buffer.from('xyz').toString('hex'));
});

test('encodeHeaders() uses Huffman coding only for long strings, and only if it is shorter', () => {
  assert.equal(
    hex('a', 'www.example.com'),
    '0001610f' + Buffer.from('www.example.com').toString('hex'),
  );
  assert.equal(hex('a', 'a'.repeat(64)), `000161a8${'18c6318c63'.repeat(8)}`);
  assert.equal(hex('a', '\u00ff'.repeat(64)), `00016140${'ff'.repeat(64)}`);
  assert.equal(hex('a', '\u00ff'), '00016101ff');
  assert.equal(hex('a', ''), '00016100');
});

test('encodeHeaders() writes any number of names of any length', () => {
  for (let i = 0; i < 1000; i++) {
    const name = `name-${'x'.repeat(i)}`;
    const fields = [name, `${i}`];
    for (let again = 0; again < 2; again++) {
      assert.deepEqual(
        createHpackDecoder({ maxHeaderListSize: 8192 }).decode(encodeHeaders(fields)).fields,
        fields,
      );
    }
  }
});

test('encodeHeaders() marks secrets as never indexed', () => {
  for (const name of ['authorization', 'proxy-authorization', 'cookie', 'set-cookie']) {
    assert.equal(encodeHeaders([name, 'secret']).readUInt8(0) & 0xf0, 0x10, name);
  }
  assert.equal(encodeHeaders(['x-authorization', 'none']).readUInt8(0), 0);
});

test('encodeHeaders() writes an empty block for no fields', () => {
  assert.equal(hex(), '');
});

test('encodeHeaders() rejects a name without a value, and characters above U+00FF', () => {
  assert.throws(() => encodeHeaders(['a']), {
    name: 'RangeError',
    message: 'Cannot encode headers: every name has a value',
  });
  for (const fields of [
    ['a', 'ā'],
    ['ā', 'a'],
    ['a', '😀'],
  ]) {
    assert.throws(() => encodeHeaders(fields), {
      name: 'RangeError',
      message: 'Cannot encode a header: one octet a character',
    });
  }
});

test('encodeHeaders() writes what decode() reads, and inserts nothing into its table', async () => {
  await withRandom((random) => {
    const decoder = createHpackDecoder({ maxTableSize: 4096, maxHeaderListSize: 2 ** 20 });
    for (let i = 0; i < 5000; i++) {
      const fields = Array.from({ length: random.below(8) }, () => {
        const { name, value } = staticTable[random.below(61)] ?? { name: '', value: '' };
        return [
          random.oneIn(2) ? name : random.text(20),
          random.oneIn(3) ? value : random.text(random.oneIn(50) ? 2000 : 20),
        ];
      }).flat();

      assert.deepEqual(decoder.decode(encodeHeaders(fields)).fields, fields);
    }
    assert.equal(decoder.table.generation, 0);
  });
});

test('encodeTableSizeUpdate() writes a size update at the start of a block', () => {
  const decoder = createHpackDecoder({ maxHeaderListSize: 4096 });

  assert.deepEqual([...encodeTableSizeUpdate(0)], [0x20]);
  assert.deepEqual([...encodeTableSizeUpdate(4096)], [0x3f, 0xe1, 0x1f]);
  decoder.decode(Buffer.concat([encodeTableSizeUpdate(0), encodeHeaders([':status', '200'])]));
  assert.equal(decoder.table.maxSize, 0);
});
