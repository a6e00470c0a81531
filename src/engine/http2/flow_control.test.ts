import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReceiveWindow, SendQueue, SendWindow } from './flow_control.ts';

test('SendWindow grows to 2^31 - 1 and not beyond, and can be negative', () => {
  const window = new SendWindow(65_535);

  assert.equal(window.grow(-100_000), true);
  assert.equal(window.available, -34_465);
  assert.equal(window.grow(2 ** 31 - 1 + 34_465), true);
  assert.equal(window.grow(1), false);
});

test('ReceiveWindow accepts its size and not a byte more', () => {
  const window = new ReceiveWindow(100);

  assert.equal(window.take(60), true);
  assert.equal(window.take(40), true);
  assert.equal(window.take(1), false);
});

test('ReceiveWindow returns consumed bytes in portions of half its size', () => {
  const window = new ReceiveWindow(100);
  window.take(100);

  const given = [window.consume(49), window.consume(1), window.consume(30), window.consume(20)];

  assert.deepEqual(given, [0, 50, 0, 50]);
  assert.equal(window.take(100), true);
  assert.equal(window.take(1), false);
});

test('SendQueue keeps a part until its last byte has been moved, and counts the rest', () => {
  const queue = new SendQueue();
  queue.add(Buffer.alloc(1000));
  const whole = queue.cost;
  const output = { bytes: () => undefined };

  queue.moveTo(output, 900);
  assert.equal(queue.cost, whole - 900);
  assert.equal(queue.held, whole);
  assert.equal(queue.isSplit, true);

  queue.moveTo(output, 100);
  assert.equal(queue.held, 0);
  assert.equal(queue.isSplit, false);
});

test('clear() empties a SendQueue, and keeps isSplit', () => {
  const queue = new SendQueue();
  queue.add(Buffer.alloc(1000));
  queue.moveTo({ bytes: () => undefined }, 1);

  queue.clear();

  assert.equal(queue.held, 0);
  assert.equal(queue.isSplit, true);
});
