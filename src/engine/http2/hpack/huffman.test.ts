import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BlockReader,
  BlockWriter,
  huffmanLength,
  readHuffman,
  writeHuffman,
} from './primitives.ts';
import { endOfString, huffmanCodes, huffmanLengths } from './huffman_table.ts';
import { withRandom } from '../../../../test/hpack/random.ts';

const everyOctet = String.fromCharCode(...Array.from({ length: 256 }, (_, octet) => octet));

function encode(text: string): Buffer {
  const writer = new BlockWriter(4 * text.length);
  writeHuffman(writer, text);
  return writer.written();
}

function decode(octets: Buffer): string {
  return readHuffman(new BlockReader(octets), octets.length);
}

/** Octets from a string of ones and zeros. */
function bits(text: string): Buffer {
  return Buffer.from(text.match(/.{8}/g)?.map((octet) => Number.parseInt(octet, 2)) ?? []);
}

function codeOf(symbol: number): string {
  return (huffmanCodes[symbol] ?? 0).toString(2).padStart(huffmanLengths[symbol] ?? 0, '0');
}

test('the Huffman codes are canonical and complete', () => {
  const symbols = Array.from({ length: 257 }, (_, symbol) => symbol);
  const lengthOf = (symbol: number) => huffmanLengths[symbol] ?? 0;
  const inOrder = symbols.toSorted((a, b) => lengthOf(a) - lengthOf(b) || a - b);

  let next = 0;
  let last = 0;
  for (const symbol of inOrder) {
    next *= 2 ** (lengthOf(symbol) - last);
    last = lengthOf(symbol);
    assert.equal(huffmanCodes[symbol], next++, `the code of ${symbol}`);
  }
  assert.equal(next, 2 ** 30);
  assert.equal(inOrder.at(-1), endOfString);
});

test('readHuffman() and writeHuffman() agree with RFC 7541 appendices C.4 and C.6', () => {
  const examples = {
    'www.example.com': 'f1e3c2e5f23a6ba0ab90f4ff',
    'no-cache': 'a8eb10649cbf',
    'custom-value': '25a849e95bb8e8b4bf',
    '302': '6402',
    'Mon, 21 Oct 2013 20:13:21 GMT': 'd07abe941054d444a8200595040b8166e082a62d1bff',
  };

  for (const [text, hex] of Object.entries(examples)) {
    assert.equal(encode(text).toString('hex'), hex);
    assert.equal(decode(Buffer.from(hex, 'hex')), text);
  }
});

test('readHuffman() reads every octet and random strings, in the length that huffmanLength() returns', async () => {
  await withRandom((random) => {
    const texts = ['', everyOctet, ...everyOctet.split(''), everyOctet.repeat(100)];
    for (let i = 0; i < 5000; i++) texts.push(random.text(30), random.text(30, 'aeiost01/'));
    for (const text of texts) {
      const octets = encode(text);
      assert.equal(octets.length, huffmanLength(text));
      assert.equal(decode(octets), text);
    }
  });
});

test('readHuffman() reads every octet at every bit offset', () => {
  for (let zeros = 0; zeros < 8; zeros++) {
    const text = '0'.repeat(zeros) + everyOctet;
    assert.equal(decode(encode(text)), text);
  }
});

test('readHuffman() accepts 0 to 7 bits of padding that are all 1', () => {
  const lengths = new Set<number>();
  for (let zeros = 0; zeros < 8; zeros++) {
    const text = '0'.repeat(zeros);
    const padding = '1'.repeat((8 - ((5 * zeros) % 8)) % 8);
    assert.equal(decode(bits('00000'.repeat(zeros) + padding)), text);
    lengths.add(padding.length);
  }
  assert.equal(lengths.size, 8);
});

test('readHuffman() rejects 8 or more bits of padding', () => {
  const eleven = `${codeOf(0x30)}${'1'.repeat(11)}`;
  for (const text of ['1'.repeat(8), '1'.repeat(24), '0'.repeat(40) + '1'.repeat(8), eleven]) {
    assert.throws(() => decode(bits(text)), {
      name: 'HpackError',
      message:
        'Cannot decode a header block: the padding of a string is less than 8 bits, all of them 1',
    });
  }
});

test('readHuffman() rejects padding with a 0 bit', () => {
  for (let zeros = 1; zeros < 8; zeros++) {
    const length = (8 - ((5 * zeros) % 8)) % 8;
    // No code of up to 7 bits has this form.
    const padding = `${'1'.repeat(length - 1)}0`;
    assert.throws(() => decode(bits('00000'.repeat(zeros) + padding)), { name: 'HpackError' });
  }
  for (const padding of ['000', '001', '010', '011', '100', '101', '110']) {
    assert.throws(() => decode(bits(`00000${padding}`)), { name: 'HpackError' });
  }
});

test('readHuffman() rejects the end-of-string symbol anywhere', () => {
  const end = codeOf(endOfString);
  for (let zeros = 0; zeros < 8; zeros++) {
    const before = '00000'.repeat(zeros);
    for (const after of ['', '00000', '00000'.repeat(9)]) {
      const text = before + end + after;
      assert.throws(() => decode(bits(text.padEnd(Math.ceil(text.length / 8) * 8, '1'))), {
        name: 'HpackError',
        message: 'Cannot decode a header block: the end of a string may not be in it',
      });
    }
  }
});

test('readHuffman() rejects a string longer than the block before it allocates memory', () => {
  const reader = new BlockReader(Buffer.from([0x1c, 0x64]));

  assert.throws(() => readHuffman(reader, 2 ** 31 - 1), { name: 'HpackError' });
});

test('readHuffman() reads strings longer than its scratch buffer', () => {
  const text = 'e'.repeat(100_000);

  assert.equal(decode(encode(text)), text);
});

test('huffmanLength() rejects a character above U+00FF', () => {
  for (const text of ['\u0100', '😀', 'aĀ']) {
    assert.throws(() => huffmanLength(text), {
      name: 'RangeError',
      message: 'Cannot encode a header: one octet a character',
    });
  }
});
