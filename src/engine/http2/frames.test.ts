import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionError, ErrorCode } from './errors.ts';
import { FrameReader, FrameType, HeaderBlockReader, preface } from './frames.ts';
import { defaultLimits } from '../../../test/support/engine.ts';
import { usedMemory } from '../../../test/support/memory.ts';
import { Output } from './sender.ts';

/** Encodes frames of many lengths. */
function someFrames(lengths: readonly number[]): Buffer {
  const output = new Output();
  lengths.forEach((length, i) => {
    output.frame(i % 10, i % 256, i * 2 + 1, Buffer.alloc(length, i));
  });
  return Buffer.concat(output.take());
}

/** The frames that a reader returns: type, flags, stream and payload. */
function readAll(pieces: readonly Buffer[]) {
  const frames: unknown[] = [];
  const reader = new FrameReader(({ type, flags, streamId, bytes, start, end }) => {
    frames.push([type, flags, streamId, bytes.toString('hex', start, end)]);
  });
  for (const piece of pieces) reader.read(piece);
  return { frames, reader };
}

const lengths = [0, 1, 8, 9, 10, 100, 16_384, 3, 0, 0, 5000];

test('read() returns the frames of one chunk', () => {
  const { frames, reader } = readAll([Buffer.concat([preface, someFrames(lengths)])]);

  assert.equal(frames.length, lengths.length);
  assert.deepEqual(frames[5], [5, 5, 11, '05'.repeat(100)]);
  assert.deepEqual([reader.hasPreface, reader.heldBytes], [true, 0]);
});

test('deferred input that arrives byte by byte takes little more than its bytes', async () => {
  const input = Buffer.concat([preface, someFrames(lengths)]);
  const before = await usedMemory();

  const readers = Array.from({ length: 50 }, () => {
    const reader = new FrameReader(
      () => {},
      () => true,
    );
    reader.read(Buffer.from(input.subarray(0, preface.length + 9)));
    for (let at = preface.length + 9; at < 10_000; at++) {
      reader.read(Buffer.from(input.subarray(at, at + 1)));
    }
    return reader;
  });
  const held = readers.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  const taken = (await usedMemory()) - before;

  assert.ok(held > 400_000);
  assert.ok(taken < 2 * held, `${taken} bytes are taken for ${held}`);
});

test('goOn() returns what read() deferred, in order, whatever arrives meanwhile', () => {
  const bytes = Buffer.concat([preface, someFrames(lengths)]);
  const whole = readAll([bytes]).frames;

  for (const size of [1, 7, 20, 1000, bytes.length]) {
    const frames: unknown[] = [];
    let left = 0;
    const reader = new FrameReader(
      ({ type, flags, streamId, bytes: all, start, end }) => {
        left--;
        frames.push([type, flags, streamId, all.toString('hex', start, end)]);
      },
      () => left <= 0,
    );
    for (let at = 0; at < bytes.length; at += size) {
      reader.read(bytes.subarray(at, at + size));
      // Sometimes one more frame.
      if (at % 3 === 0) {
        left = 1;
        reader.goOn();
      }
    }
    assert.equal(reader.heldBytes >= reader.restBytes, true);
    for (let turns = 0; reader.restBytes > 0; turns++) {
      assert.ok(turns < 100, `${reader.restBytes} bytes left after ${turns} turns`);
      left = 2;
      reader.goOn();
    }
    assert.deepEqual(frames, whole, `in pieces of ${size}`);
  }
});

test('read() returns the same frames if the input is split in two', () => {
  const bytes = Buffer.concat([preface, someFrames([0, 1, 8, 9, 10, 100, 3, 0, 0, 50])]);
  const whole = readAll([bytes]).frames;

  for (let at = 0; at <= bytes.length; at++) {
    assert.deepEqual(
      readAll([bytes.subarray(0, at), bytes.subarray(at)]).frames,
      whole,
      `at ${at}`,
    );
  }
});

test('read() returns the same frames byte by byte', () => {
  const bytes = Buffer.concat([preface, someFrames(lengths)]);

  const pieces = Array.from({ length: bytes.length }, (_, at) => bytes.subarray(at, at + 1));

  assert.deepEqual(readAll(pieces).frames, readAll([bytes]).frames);
});

test('read() rejects an invalid preface at its first wrong byte', () => {
  for (const wrong of ['GET / HTTP/1.1\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nXX', 'Q']) {
    assert.throws(
      () => readAll([Buffer.from(wrong)]),
      (error) => error instanceof ConnectionError && error.code === ErrorCode.PROTOCOL_ERROR,
    );
  }
  assert.equal(readAll([preface.subarray(0, 10)]).reader.hasPreface, false);
});

test('read() rejects a frame of more than 16384 bytes by its header alone', () => {
  const header = Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1]);

  for (const pieces of [[header], [header.subarray(0, 4), header.subarray(4)]]) {
    assert.throws(
      () => readAll([preface, ...pieces]),
      (error) => error instanceof ConnectionError && error.code === ErrorCode.FRAME_SIZE_ERROR,
    );
  }
});

test('an incomplete frame takes about as much memory as has arrived of it', async () => {
  const start = Buffer.concat([preface, someFrames([16_384])]);
  const lengths = [1, 9, 500];
  const readers = Array.from({ length: 3000 }, () => new FrameReader(() => {}));
  const before = await usedMemory();

  readers.forEach((reader, at) => {
    reader.read(start.subarray(0, preface.length + (lengths[at % 3] ?? 0)));
    // Uses up Buffer's shared pool, as other connections do.
    Buffer.allocUnsafe(30_000);
  });

  const held = readers.map(({ heldBytes }) => heldBytes);
  const grown = (await usedMemory()) - before;
  assert.ok(held.every((bytes, at) => bytes <= Math.max(9, 2 * (lengths[at % 3] ?? 0))));
  assert.ok(grown < 3000 * 1000, `${grown} bytes`);
});

test('deferred input keeps no more memory than twice what it is charged for', async () => {
  const output = new Output();
  const count = 3000;
  for (let i = 0; i < count + 100; i++) output.frame(FrameType.PING, 0, 0, Buffer.alloc(8));
  const pings = Buffer.concat(output.take());
  const before = await usedMemory();

  const readers = Array.from({ length: 500 }, () => {
    let read = 0;
    const reader = new FrameReader(
      () => void read++,
      () => read >= count,
    );
    reader.read(preface);
    reader.read(Buffer.from(pings));
    return reader;
  });

  const charged = readers.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  const grown = (await usedMemory()) - before;
  assert.equal(charged, 500 * 100 * (pings.length / (count + 100)));
  assert.ok(grown <= 2 * charged, `${grown} bytes, and ${charged} are charged`);
});

test('an incomplete header block is charged for its parts, and keeps no more than them', async () => {
  const limits = { maxHeaderFrames: 128, maxHeaderBlockSize: 1024 * 1024 };
  const before = await usedMemory();

  const readers = Array.from({ length: 500 }, () => {
    const reader = new HeaderBlockReader({ ...defaultLimits, ...limits });
    // A part of a chunk of 64 KiB, as read from a socket.
    const bytes = Buffer.alloc(65_536);
    const frame = { type: FrameType.HEADERS, flags: 0, streamId: 1, bytes, start: 0, end: 1 };
    reader.headers(frame);
    for (let part = 1; part < 100; part++) {
      reader.continuation({ ...frame, type: FrameType.CONTINUATION });
    }
    return reader;
  });

  const charged = readers.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  const grown = (await usedMemory()) - before;
  assert.ok(grown <= 2 * charged, `${grown} bytes, and ${charged} are charged`);
});

test('read() ignores the reserved bit of the stream identifier', () => {
  const { frames } = readAll([preface, Buffer.from([0, 0, 0, 6, 0, 0x80, 0, 0, 7])]);

  assert.deepEqual(frames, [[6, 0, 7, '']]);
});

test('read() distinguishes HTTP/1.1, TLS and other text from an invalid preface', () => {
  const beginnings = {
    http1: ['GET / HTTP/1.1\r\n', 'G', 'POST /a HTTP/1.0\r\n', 'PU', 'PATCH / HTTP/1.1\r\n'],
    tls: ['\x16\x03\x01'],
    text: ['hello', 'GETS / a', 'PROPFIND / HTTP/1.1'],
    unknown: ['INVALID CONNECTION PREFACE\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nXX', '\0'],
  };
  for (const [protocol, texts] of Object.entries(beginnings)) {
    for (const text of texts) {
      const reader = new FrameReader(() => assert.fail());
      assert.throws(() => reader.read(Buffer.from(text, 'latin1')), { protocol }, text);
    }
  }
  const dribbled = new FrameReader(() => assert.fail());
  dribbled.read(Buffer.from('P'));
  assert.throws(() => dribbled.read(Buffer.from('O')), { protocol: 'http1' });
});
