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
  const kept = taken.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
  assert.ok(kept <= 128 * KiB, `${kept} bytes are kept for 64 KiB`);
});

test('Output does not copy a part that is most of its buffer', () => {
  const output = new Output();
  const message = Buffer.alloc(64 * KiB, 'x');

  output.bytes(message.subarray(5));

  assert.equal(output.take()[0]?.buffer, message.buffer);
});
