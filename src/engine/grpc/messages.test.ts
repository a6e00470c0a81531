import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Status } from 'nice-grpc-common';
import { frame } from '../../../test/support/raw_client.ts';
import { usedMemory } from '../../../test/support/memory.ts';
import { MessageReader } from './messages.ts';

const sizes = [0, 1, 5, 300, 2000, 7];
const messages = sizes.map((size, i) => Buffer.alloc(size, i + 1));
const body = Buffer.concat(messages.map(frame));

/** Reads every message of a body in these parts, as soon as it is complete, or at the end. */
function read(parts: readonly Buffer[], eager = true): Buffer[] {
  const reader = new MessageReader(10_000);
  const found: Buffer[] = [];
  const drain = () => {
    for (let raw = reader.next(); raw; raw = reader.next()) found.push(raw.bytes);
  };
  for (const part of parts) {
    const borrowed = Buffer.from(part);
    reader.push(borrowed);
    if (eager) drain();
    reader.keep();
    // The owner may overwrite the bytes, except for messages that were read at once.
    if (!eager) borrowed.fill(0xee);
  }
  drain();
  assert.equal(reader.heldBytes, 0);
  return found;
}

test('MessageReader reads the same messages however the body is split, and whenever they are read', () => {
  for (let at = 0; at <= body.length; at++) {
    const parts = [body.subarray(0, at), body.subarray(at)];
    for (const eager of [true, false]) assert.deepEqual(read(parts, eager), messages, `at ${at}`);
  }
  const octets = Array.from(body, (octet) => Buffer.from([octet]));
  for (const eager of [true, false]) assert.deepEqual(read(octets, eager), messages);
});

test('MessageReader never overwrites a message that it has returned', () => {
  const reader = new MessageReader(10_000);
  const first = frame(Buffer.alloc(100, 'a'));
  const kept: Buffer[] = [];
  for (let i = 0; i < 100; i++) {
    reader.push(first.subarray(0, 50));
    reader.keep();
    reader.push(first.subarray(50));
    kept.push(reader.next()?.bytes ?? assert.fail());
    reader.keep();
  }
  assert.ok(kept.every((bytes) => bytes.equals(Buffer.alloc(100, 'a'))));
});

test('MessageReader seldom copies small frames behind unread messages', (t) => {
  const alloc = t.mock.method(Buffer, 'allocUnsafeSlow');
  const reader = new MessageReader(10_000);
  reader.push(Buffer.concat(Array.from({ length: 1000 }, () => frame(Buffer.alloc(0)))));
  reader.keep();
  for (let i = 0; i < 10_000; i++) {
    reader.push(Buffer.of(0));
    reader.keep();
  }

  const copied = alloc.mock.calls.reduce((sum, { arguments: [size] }) => sum + size, 0);
  assert.ok(copied < 5 * reader.heldBytes, `${copied} bytes for ${reader.heldBytes}`);
});

test('MessageReader holds the bytes that have arrived, whatever the prefix announces', () => {
  const reader = new MessageReader(10_000);
  reader.push(Buffer.from([0, 0, 0, 0x20, 0, 1, 2]));
  assert.equal(reader.next(), undefined);
  reader.keep();
  assert.equal(reader.heldBytes, 7);
  reader.clear();
  assert.equal(reader.heldBytes, 0);
});

test('MessageReader rejects a message above the limit at its prefix, and accepts one at the limit', () => {
  const reader = new MessageReader(300);
  reader.push(frame(Buffer.alloc(300)));
  assert.equal(reader.next()?.bytes.length, 300);
  reader.push(Buffer.from([0, 0, 0, 1, 45]));
  assert.throws(() => reader.next(), { code: Status.RESOURCE_EXHAUSTED, details: /300 bytes/ });
});

test('MessageReader rejects unknown flags', () => {
  const reader = new MessageReader(300);
  reader.push(Buffer.from([1, 0, 0, 0, 0, 2, 0, 0, 0, 0]));
  assert.equal(reader.next()?.compressed, true);
  assert.throws(() => reader.next(), { code: Status.INTERNAL });
});

test('MessageReader frees the buffer of a large message when little is left behind it', async () => {
  const large = frame(Buffer.alloc(500_000));
  const readers = Array.from({ length: 20 }, () => new MessageReader(large.length));
  const before = await usedMemory();
  for (const reader of readers) {
    for (const part of [large.subarray(0, 1000), large.subarray(1000), Buffer.from([0])]) {
      reader.push(part);
      reader.keep();
    }
    reader.next();
  }
  const grown = (await usedMemory()) - before;

  assert.ok(readers.every(({ heldBytes }) => heldBytes === 1));
  assert.ok(grown < 1_000_000, `${grown} bytes`);
});

test('ensureCapacity() collects a large message, and the next one, in one buffer once an eighth has arrived', (t) => {
  const alloc = t.mock.method(Buffer, 'allocUnsafeSlow');
  const large = frame(Buffer.alloc(1_000_000, 'a'));
  const small = frame(Buffer.alloc(5, 'b'));
  const reader = new MessageReader(large.length);
  const bytes = Buffer.concat([large, small]);

  for (let at = 0; at < bytes.length; at += 16_384) {
    reader.push(bytes.subarray(at, at + 16_384));
    reader.ensureCapacity(large.length);
    reader.keep();
  }

  // The capacity doubles to 64, 128 and 256 KiB.
  assert.deepEqual(
    alloc.mock.calls.map(({ arguments: [size] }) => size),
    [32_768, 65_536, 131_072, large.length + 16_384],
  );
  const found = [reader.next(), reader.next()].map((raw) => raw?.bytes.toString());
  assert.deepEqual(found, ['a'.repeat(1_000_000), 'bbbbb']);
});

test('MessageReader tells which message has its buffer for itself', () => {
  const message = frame(Buffer.alloc(1000));
  const isSole = (parts: readonly Buffer[], isGiven = false) => {
    const reader = new MessageReader(10_000);
    for (const part of parts) {
      reader.push(part, isGiven);
      if (!isGiven) reader.keep();
    }
    return [reader.next()?.isSole, reader.next()?.isSole];
  };
  const reader = new MessageReader(10_000);
  reader.push(message);

  assert.equal(reader.next()?.isSole, false, 'a message of the caller');
  assert.deepEqual(isSole([message]), [true, undefined]);
  assert.deepEqual(isSole([message], true), [true, undefined]);
  assert.deepEqual(isSole([message, message]), [false, false]);
  assert.deepEqual(isSole([Buffer.concat([message, message])], true), [false, false]);
  assert.deepEqual(isSole([message, Buffer.of(0)]), [false, undefined]);
});
