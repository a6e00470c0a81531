import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection } from '../src/http2/connection.ts';
import { FrameType, preface } from '../src/http2/frame.ts';
import { defaultLimits } from '../src/http2/limits.ts';
import type { Stream, StreamEvents } from '../src/http2/stream.ts';
import { frameOf, ok, post, trailer, word } from './http2_peer.ts';

/** `FUZZ_SEED=… FUZZ_SESSIONS=1` runs again what failed. */
const seed = Number(process.env['FUZZ_SEED'] ?? Math.trunc(Date.now() / 1000));
const sessions = Number(process.env['FUZZ_SESSIONS'] ?? 3000);
const limits = { ...defaultLimits, maxConcurrentStreams: 20, streamWindowSize: 20_000 };

/** The same numbers below 1 for the same seed (mulberry32). */
function random(from: number): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** One of the values. */
function pick<T>(next: () => number, values: readonly [T, ...T[]]): T {
  return values[Math.floor(next() * values.length)] ?? values[0];
}

/** A client that mostly keeps to the rules, so that a session comes far before it breaks one. */
function someClient(next: () => number) {
  let lastId = -1;
  let sending: number[] = [];
  const legal = [
    open,
    open,
    open,
    data,
    data,
    data,
    end,
    reset,
    grow,
    grow,
    splitHeaders,
    control,
  ] as const;

  return (): Buffer => {
    const bytes = pick(next, legal)();
    // A byte of one frame in fifty is wrong.
    if (next() < 0.02) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
    return next() < 0.01 ? illegal() : bytes;
  };

  function open(): Buffer {
    lastId += 2;
    const ends = next() < 0.3;
    if (!ends) sending.push(lastId);
    return frameOf(FrameType.HEADERS, ends ? 0x5 : 0x4, lastId, post);
  }

  function splitHeaders(): Buffer {
    lastId += 2;
    const first = frameOf(FrameType.HEADERS, 0x1, lastId, post.subarray(0, 1));
    return Buffer.concat([first, frameOf(FrameType.CONTINUATION, 0x4, lastId, post.subarray(1))]);
  }

  function data(): Buffer {
    const body = Buffer.alloc(pick(next, [1, 10, 100, 2000, 16_384]), 1);
    return sending.length === 0 ? open() : frameOf(FrameType.DATA, 0, pick1(sending), body);
  }

  function end(): Buffer {
    if (sending.length === 0) return control();
    const id = pick1(sending);
    sending = sending.filter((one) => one !== id);
    if (next() < 0.5) return frameOf(FrameType.DATA, 0x1, id, Buffer.alloc(0));
    return frameOf(FrameType.HEADERS, 0x5, id, trailer);
  }

  function reset(): Buffer {
    if (lastId < 1) return open();
    const id = sending.length > 0 && next() < 0.8 ? pick1(sending) : lastId;
    sending = sending.filter((one) => one !== id);
    return frameOf(FrameType.RST_STREAM, 0, id, word(8));
  }

  function grow(): Buffer {
    const id = next() < 0.5 || lastId < 1 ? 0 : lastId;
    return frameOf(FrameType.WINDOW_UPDATE, 0, id, word(pick(next, [1, 100, 30_000])));
  }

  function control(): Buffer {
    const window = Buffer.concat([Buffer.from([0, 4]), word(pick(next, [0, 1, 1000, 65_535]))]);
    return pick(next, [
      frameOf(FrameType.PING, 0, 0, Buffer.alloc(8)),
      frameOf(FrameType.SETTINGS, 0, 0, window),
      frameOf(FrameType.SETTINGS, 0x1, 0, Buffer.alloc(0)),
      frameOf(FrameType.PRIORITY, 0, lastId + 100, Buffer.alloc(5)),
      frameOf(0xfe, 0xff, 3, Buffer.alloc(3)),
    ]);
  }

  function illegal(): Buffer {
    const type = pick(next, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const id = pick(next, [0, 1, 2, lastId, lastId + 2]);
    return frameOf(
      type,
      Math.floor(next() * 256),
      Math.max(id, 0),
      Buffer.alloc(Math.floor(next() * 12)),
    );
  }

  function pick1(ids: readonly number[]): number {
    return ids[Math.floor(next() * ids.length)] ?? 1;
  }
}

/** A server that answers in all the ways there are, at once or later. */
function someServer(next: () => number) {
  const later: (() => void)[] = [];
  const serve = (stream: Stream): StreamEvents => {
    const act = () => {
      stream.respond(ok, { endStream: next() < 0.1 });
      stream.write(Buffer.alloc(pick(next, [0, 10, 1000, 100_000])));
      if (next() < 0.7) stream.end(next() < 0.5 ? trailer : undefined);
      else if (next() < 0.3) stream.reset(8);
    };
    if (next() < 0.5) act();
    else later.push(act);
    return {
      data: (bytes) => stream.consume(bytes.length),
      end() {},
      reset() {},
      drain: () => void stream.write(Buffer.alloc(10)),
    };
  };
  return { serve, later };
}

/** Puts a connection through one session; throws when it breaks. */
function play(from: number): void {
  const next = random(from);
  const { serve, later } = someServer(next);
  const connection = new Connection({ limits, serve, wake() {}, now: () => 0 });
  connection.receive(preface);
  connection.receive(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));

  const frame = someClient(next);
  for (let round = 0; round < 300 && !connection.isOver; round++) {
    const bytes = frame();
    const cut = Math.floor(next() * bytes.length);
    connection.receive(bytes.subarray(0, cut));
    connection.receive(bytes.subarray(cut));
    if (next() < 0.3) later.shift()?.();
    if (next() < 0.5) connection.take({ room: next() < 0.7 });
    if (next() < 0.002) connection.shutdown();
    assert.ok(connection.openStreams <= limits.maxConcurrentStreams);
  }

  connection.lost();
  for (const act of later) act();
  assert.equal(connection.openStreams, 0);
}

test('a connection bears frames of all kinds in any order, and leaves no stream open', () => {
  for (let session = 0; session < sessions; session++) {
    try {
      play(seed + session);
    } catch (cause) {
      assert.fail(new Error(`FUZZ_SEED=${seed + session} FUZZ_SESSIONS=1`, { cause }));
    }
  }
});

test('a connection says the same however its input is cut', () => {
  const next = random(7);
  const frame = someClient(() => 0.02 + next() * 0.98);
  const parts = Array.from({ length: 60 }, frame);
  const input = Buffer.concat([preface, Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]), ...parts]);
  const output = (pieces: readonly Buffer[]) => {
    const { serve } = someServer(() => 0.2);
    const connection = new Connection({ limits, serve, wake() {}, now: () => 0 });
    for (const piece of pieces) connection.receive(piece);
    return Buffer.concat(connection.take({ room: true })).toString('hex');
  };
  const whole = output([input]);

  const most = Math.min(input.length, 4096);
  for (let at = 0; at <= most; at++) {
    assert.equal(output([input.subarray(0, at), input.subarray(at)]), whole, `cut at ${at}`);
  }
});
