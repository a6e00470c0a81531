import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Output } from './sender.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

test('Output does not keep a large buffer for a small part of it', () => {
  const output = new Output();
  const message = Buffer.alloc(4 * MiB, 'x');

  output.bytes(message.subarray(-64 * KiB));

  const taken = output.take();
  assert.equal(Buffer.concat(taken).toString('latin1'), 'x'.repeat(64 * KiB));
  assert.ok(kept(taken) <= 128 * KiB, `${kept(taken)} bytes are kept for 64 KiB`);
});

test('Output does not copy a part that is most of its buffer', () => {
  const output = new Output();
  const message = Buffer.alloc(64 * KiB, 'x');

  output.bytes(message.subarray(5));

  assert.equal(output.take()[0]?.buffer, message.buffer);
});

/** The memory that buffers keep, in bytes. */
function kept(all: readonly Buffer[]): number {
  return [...new Set(all.map(({ buffer }) => buffer))].reduce(
    (sum, { byteLength }) => sum + byteLength,
    0,
  );
}

test('compact() leaves a connection no more memory than twice its pending output', () => {
  const all = Array.from({ length: 100 }, () => new Output());
  for (const [index, output] of all.entries()) {
    for (let turn = 0; turn < 5; turn++) {
      output.frame(0x6, 0x1, 0, Buffer.alloc(8, index));
      if (index % 2 > 0) output.bytes(Buffer.alloc(15 * KiB, index));
      output.compact();
    }
  }

  for (const [index, output] of all.entries()) {
    const { length } = output;
    const taken = output.take();

    const most = 2 * length + 100;
    assert.ok(kept(taken) <= most, `${kept(taken)} bytes are kept for ${length}`);
    const frame = '000008060100000000';
    const payload = Buffer.alloc(8, index).toString('hex');
    const body = index % 2 > 0 ? Buffer.alloc(15 * KiB, index).toString('hex') : '';
    assert.equal(Buffer.concat(taken).toString('hex'), `${frame}${payload}${body}`.repeat(5));
  }
});

test('compact() keeps many small frames in few buffers', () => {
  const output = new Output();
  for (let turn = 0; turn < 1000; turn++) {
    output.word(0x3, 1, turn);
    output.compact();
  }

  const taken = output.take();

  assert.equal(taken.length, 1);
  assert.equal(taken[0]?.length, 13_000);
});

test('the memory that compact() leaves serves other connections', () => {
  const [one, other] = [new Output(), new Output()];
  one.word(0x3, 1, 1);
  one.compact();
  other.word(0x3, 1, 2);

  assert.equal(Buffer.concat(one.take()).readUInt32BE(9), 1);
  assert.equal(Buffer.concat(other.take()).readUInt32BE(9), 2);
});
