import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, Socket, type SocketConstructorOpts } from 'node:net';
import { test, type TestContext } from 'node:test';
import { frameOf, ok, post, trailer } from '../../../test/support/http2_peer.ts';
import { eventually } from '../../../test/support/harness.ts';
import { ErrorCode } from '../http2/errors.ts';
import { Flag, FrameType, preface, FrameReader } from '../http2/frames.ts';
import { encodeHeaders } from '../http2/hpack/encoder.ts';
import type { Stream } from '../http2/stream.ts';
import {
  createHttp2Server,
  defaultLimits,
  type Http2TestOptions,
} from '../../../test/support/engine.ts';

/** A socket whose peer reads when the test says so, or at once. */
class SlowSocket extends Socket {
  readonly #isQuick: boolean;
  readonly #waiting: [bytes: Buffer, taken: () => void][] = [];
  readonly taken: Buffer[] = [];

  constructor({
    isQuick = false,
    ...options
  }: SocketConstructorOpts & { isQuick?: boolean; writableHighWaterMark?: number } = {}) {
    super(options);
    this.#isQuick = isQuick;
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#waiting.push([bytes, done]);
    if (this.#isQuick) this.takeNext();
  }

  /** Node's own would need a handle. */
  override _final(done: () => void): void {
    done();
  }

  /** Reads the next write, if there is one. */
  takeNext(): boolean {
    const [next] = this.#waiting.splice(0, 1);
    if (!next) return false;
    this.taken.push(next[0]);
    next[1]();
    return true;
  }
}
Object.assign(SlowSocket.prototype, { _writev: undefined });

const settings = frameOf(FrameType.SETTINGS, 0, 0, Buffer.alloc(0));
const request = frameOf(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, post);
const pingAnswer = frameOf(FrameType.PING, Flag.ACK, 0, Buffer.from('goingout'));
const ping = frameOf(FrameType.PING, 0, 0, Buffer.alloc(8));
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A connection with a call, of whose response the peer has read nothing. */
async function openCall(t: TestContext, maxConnections = 100) {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  const clock = { now: 0 };
  let stream: Stream | undefined;
  const server = createHttp2Server({
    now: () => clock.now,
    random: () => 0,
    maxConnections,
    serve(opened) {
      stream = opened;
      return { data() {}, end() {}, reset() {}, failed() {}, expire() {}, drain() {}, sent() {} };
    },
  });
  const socket = new SlowSocket({ allowHalfOpen: true });
  server.attach(socket);
  socket.push(Buffer.concat([preface, settings, request]));
  await turn();
  const pass = (ms: number) => {
    clock.now += ms;
    t.mock.timers.tick(ms);
  };
  const answer = () => {
    stream?.respond(ok);
    stream?.end(trailer, Buffer.from('the end'));
  };
  return { server, socket, pass, answer };
}

/** A connection that is over, of whose output the peer has read nothing. */
async function sayAll(t: TestContext) {
  const call = await openCall(t);
  void call.server.shutdown();
  call.socket.push(pingAnswer);
  await turn();
  call.answer();
  while (!call.socket.writableEnded) await turn();
  return call;
}

test('a slow reader gets the end of a response long after GOAWAY', async (t) => {
  const { server, socket, pass } = await sayAll(t);

  for (let second = 0; second < 60; second++) pass(1000);
  const wasOpen = !socket.destroyed;
  while (socket.takeNext()) await turn();
  for (let i = 0; i < 3; i++) await turn();
  pass(1000);
  await turn();

  const types: number[] = [];
  const reader = new FrameReader(({ type }) => void types.push(type));
  reader.read(preface);
  reader.read(Buffer.concat(socket.taken));
  assert.equal(wasOpen, true);
  assert.deepEqual(types.slice(-3), [FrameType.HEADERS, FrameType.DATA, FrameType.HEADERS]);
  assert.equal(socket.destroyed, true);
  assert.equal(server.openConnections, 0);
});

test('a PING after the last output does not cut unsent data', async (t) => {
  const { socket } = await sayAll(t);

  socket.push(ping);
  for (let i = 0; i < 3; i++) await turn();

  assert.equal(socket.destroyed, false);
});

test('a peer that takes no output is dropped after the keepalive time', async (t) => {
  const { server, socket, pass } = await sayAll(t);

  for (let second = 0; second < 79; second++) pass(1000);
  const wasOpen = !socket.destroyed;
  for (let second = 0; second < 2; second++) pass(1000);
  await turn();

  assert.equal(wasOpen, true);
  assert.equal(socket.destroyed, true);
  assert.equal(server.openConnections, 0);
});

test('a connection with unsent output is not evicted', async (t) => {
  const { server, socket, answer, pass } = await openCall(t, 1);
  answer();
  await turn();
  assert.equal(server.openStreams, 0);
  for (let second = 0; second < 3; second++) pass(1000);

  const refused = new SlowSocket();
  server.attach(refused);
  const isRefused = refused.destroyed;
  while (socket.takeNext()) await turn();
  pass(1000);
  server.attach(new SlowSocket());
  for (let i = 0; i < 3; i++) await turn();

  assert.equal(isRefused, true);
  assert.equal(socket.destroyed, true);
  assert.equal(server.openConnections, 1);
});

test('an evicted connection is closed at once, even if its peer reads nothing', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  const server = createHttp2Server({ serve: () => assert.fail('nobody calls'), maxConnections: 1 });
  const [first, second] = [new SlowSocket(), new SlowSocket()];
  server.attach(first);
  await turn();

  server.attach(second);
  const { openConnections } = server;
  for (let i = 0; i < 3; i++) await turn();

  assert.equal(openConnections, 1);
  assert.deepEqual([first.destroyed, second.destroyed], [true, false]);
  server.destroy();
});

/** A server that does not answer on its own, with so many requests on one connection. */
async function openStreams(
  socket: Socket,
  count: number,
  options: Pick<Http2TestOptions, 'maxBufferedBytes' | 'now'> = {},
) {
  const streams: Stream[] = [];
  const failed: number[] = [];
  const incidents: string[] = [];
  const server = createHttp2Server({
    ...options,
    limits: { maxConcurrentStreams: count, controlFramesPerSecond: 1e9 },
    report: ({ reason, message }) => void incidents.push(`${reason}: ${message}`),
    serve(stream) {
      streams.push(stream);
      return {
        data() {},
        end() {},
        reset() {},
        failed: ({ code }) => void failed.push(code),
        expire() {},
        drain() {},
        sent() {},
      };
    },
  });
  server.attach(socket);
  const requests = Array.from({ length: count }, (_, at) =>
    frameOf(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 2 * at + 1, post),
  );
  socket.push(Buffer.concat([preface, settings, ...requests]));
  while (streams.length < count) await turn();
  await turn();
  return { server, streams, failed, incidents };
}

/** A header block of 8 KiB, about the maximum of responses. */
const largeBlock = encodeHeaders([':status', '200', 'x', '~'.repeat(8192)]);

test('a response is charged at once, not at the end of the turn', async () => {
  const { server, streams } = await openStreams(new SlowSocket(), 3);
  const held = () => server.bufferedBytes;
  const [first, second, third] = streams;
  const before = held();

  first?.respond(largeBlock);
  const responded = held();
  first?.write(Buffer.alloc(10_000));
  const written = held();
  await turn();
  const turned = held();
  second?.respond(ok, { endStream: true });
  third?.reset(ErrorCode.CANCEL);
  await turn();
  const ended = held();

  assert.ok(responded - before >= largeBlock.length, `${responded - before} bytes`);
  assert.ok(written - responded >= 10_000, `${written - responded} bytes`);
  assert.ok(Math.abs(turned - written) < 200, `${turned - written} bytes more after the turn`);
  assert.ok(ended < turned - 2 * defaultLimits.streamCost, 'streams that have ended count on');
  server.destroy();
});

const tooMuch = 'goaway_enhance_your_calm: Cannot buffer so much for one peer';

for (const when of ['at once', 'in a turn of its own']) {
  test(`unread header blocks are limited by the byte limit, if they are sent ${when}`, async () => {
    const maxBufferedBytes = 3 * defaultLimits.maxUnreadBytes;
    const { server, streams, failed, incidents } = await openStreams(new SlowSocket(), 500, {
      maxBufferedBytes,
    });

    let most = 0;
    for (const stream of streams) {
      stream.respond(largeBlock, { endStream: true });
      most = Math.max(most, server.bufferedBytes);
      if (when !== 'at once') await turn();
    }
    await turn();

    assert.ok(most > 2 * defaultLimits.maxUnreadBytes, `${most} bytes`);
    assert.ok(most <= maxBufferedBytes + 2 * largeBlock.length, `${most} bytes`);
    assert.deepEqual(incidents, [tooMuch]);
    assert.deepEqual(new Set(failed), new Set(when === 'at once' ? [] : [11]));
    assert.equal(server.openStreams, 0);
    server.destroy();
  });
}

test('bytes that a slow reader has taken are released at the next tick', async (t) => {
  const { server, socket, pass } = await openCall(t);
  const unread = socket.writableLength;
  const counted = server.bufferedBytes;

  while (socket.takeNext()) await turn();
  pass(1000);

  assert.ok(unread > 0);
  assert.equal(server.bufferedBytes, counted - unread);
});

test('unread header blocks of many peers share one limit', async () => {
  const maxBufferedBytes = 8 * defaultLimits.maxUnreadBytes;
  const streams: Stream[] = [];
  const incidents: string[] = [];
  const server = createHttp2Server({
    maxBufferedBytes,
    report: ({ reason }) => void incidents.push(reason),
    serve(stream) {
      streams.push(stream);
      return { data() {}, end() {}, reset() {}, failed() {}, expire() {}, drain() {}, sent() {} };
    },
  });
  const requests = Array.from({ length: 500 }, (_, at) =>
    frameOf(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 2 * at + 1, post),
  );

  let most = 0;
  for (let peer = 0; peer < 5; peer++) {
    const socket = new SlowSocket();
    server.attach(socket);
    socket.push(Buffer.concat([preface, settings, ...requests]));
    // Far above the limit they are refused.
    const before = incidents.length;
    const refused = () =>
      incidents.slice(before).filter((reason) => reason === 'rst_stream_refused_stream').length;
    for (let turns = 0; streams.length + refused() < requests.length; turns++) {
      assert.ok(turns < 1000, `waited for ${requests.length} requests, has ${streams.length}`);
      await turn();
    }
    for (const stream of streams.splice(0)) {
      stream.respond(largeBlock, { endStream: true });
      most = Math.max(most, server.bufferedBytes);
    }
    await turn();
  }

  // 50 % above the limit for peers within their share, plus what one connection may have unread.
  const bound = 1.5 * maxBufferedBytes + defaultLimits.maxUnreadBytes;
  assert.ok(most <= bound, `${most} bytes`);
  const cut = incidents.filter((reason) => reason === 'goaway_enhance_your_calm');
  assert.ok(cut.length >= 1, `${cut.length} connections given up`);
  server.destroy();
});

test('incomplete header blocks of many peers share one limit, and another peer is served', async () => {
  const maxBufferedBytes = 1024 * 1024;
  let served = 0;
  const server = createHttp2Server({
    maxBufferedBytes,
    serve(stream) {
      served++;
      stream.respond(encodeHeaders([':status', '200']), { endStream: true });
      return { data() {}, end() {}, reset() {}, failed() {}, expire() {}, drain() {}, sent() {} };
    },
  });
  const part = Buffer.alloc(16_000, 'x');
  const attackers = Array.from({ length: 8 }, () => new SlowSocket({ isQuick: true }));
  for (const socket of attackers) {
    server.attach(socket);
    socket.push(Buffer.concat([preface, settings, frameOf(FrameType.HEADERS, 0, 1, part)]));
  }
  let most = 0;
  for (let count = 0; count < 60; count++) {
    for (const socket of attackers) {
      if (!socket.isPaused()) socket.push(frameOf(FrameType.CONTINUATION, 0, 1, part));
    }
    await turn();
    most = Math.max(most, server.bufferedBytes);
  }
  const honest = new SlowSocket({ isQuick: true });
  server.attach(honest);

  honest.push(Buffer.concat([preface, settings, request]));
  await turn();

  // Each may send one frame more before it is paused.
  const bound = maxBufferedBytes + attackers.length * 2 * part.length;
  assert.ok(most > maxBufferedBytes && most <= bound, `${most} bytes`);
  assert.equal(served, 1);
  server.destroy();
});

test('chunks of many peers that arrive in one turn do not exceed the limit by more than a quarter', async () => {
  const maxBufferedBytes = 1024 * 1024;
  const server = createHttp2Server({ maxBufferedBytes, serve: () => assert.fail('none is whole') });
  const part = Buffer.alloc(16_000, 'x');
  const chunk = Buffer.concat([
    preface,
    settings,
    frameOf(FrameType.HEADERS, 0, 1, part),
    ...Array.from({ length: 3 }, () => frameOf(FrameType.CONTINUATION, 0, 1, part)),
  ]);
  const sockets = Array.from({ length: 100 }, () => new SlowSocket({ isQuick: true }));
  for (const socket of sockets) server.attach(socket);

  for (const socket of sockets) socket.push(chunk);
  for (let turns = 0; turns < 20; turns++) await turn();

  const most = 1.25 * maxBufferedBytes + chunk.length;
  assert.ok(server.bufferedBytes <= most, `${server.bufferedBytes} bytes`);
  assert.ok(sockets.some((socket) => socket.destroyed));
  server.destroy();
});

test('an evicted connection whose peer has ended its side is closed, whatever is unsent', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  const sockets = [new SlowSocket(), new SlowSocket()] as const;
  const server = createHttp2Server({
    maxBufferedBytes: 50_000,
    serve(stream) {
      stream.respond(encodeHeaders([':status', '200']));
      stream.write(Buffer.alloc(56_000));
      return { data() {}, end() {}, reset() {}, failed() {}, expire() {}, drain() {}, sent() {} };
    },
  });
  for (const socket of sockets) {
    server.attach(socket);
    socket.push(Buffer.concat([preface, settings, request]));
  }
  await turn();
  for (const socket of sockets) socket.push(null);
  await turn();

  for (let seconds = 0; seconds < 5; seconds++) {
    t.mock.timers.tick(1000);
    for (let turns = 0; turns < 3; turns++) await turn();
  }

  assert.ok(server.bufferedBytes <= 100_000, `${server.bufferedBytes} bytes`);
  assert.ok(sockets.some((socket) => socket.destroyed));
  server.destroy();
});

/** A header block of 2 KiB. */
const smallBlock = encodeHeaders([':status', '200', 'x', '~'.repeat(2048)]);

test('a slow reader gets all responses, however many header blocks are queued', async () => {
  const socket = new SlowSocket();
  const { server, streams, incidents } = await openStreams(socket, 1000);

  for (const stream of streams) stream.respond(smallBlock, { endStream: true });
  await turn();
  const wasRead = !socket.isPaused();
  const most = server.bufferedBytes;
  let resumedAt = 0;
  let largest = 0;
  while (socket.takeNext()) {
    await turn();
    largest = Math.max(largest, socket.taken.at(-1)?.length ?? 0);
    if (resumedAt === 0 && !socket.isPaused()) resumedAt = server.bufferedBytes;
  }

  const ended = new Set<number>();
  const reader = new FrameReader(({ type, flags, streamId }) => {
    if (type === FrameType.HEADERS && (flags & Flag.END_STREAM) !== 0) ended.add(streamId);
  });
  reader.read(preface);
  reader.read(Buffer.concat(socket.taken));
  assert.equal(ended.size, 1000);
  assert.deepEqual(incidents, []);
  assert.ok(most > 1000 * smallBlock.length, `${most} bytes counted`);
  assert.equal(wasRead, false);
  assert.ok(resumedAt > 0 && resumedAt < defaultLimits.maxUnreadBytes, `at ${resumedAt} bytes`);
  assert.ok(largest < defaultLimits.maxUnreadBytes / 2, `${largest} bytes written at once`);
  server.destroy();
});

test('a peer that does not read its PING ACKs is no longer read from', async () => {
  const socket = new SlowSocket();
  const { server, incidents } = await openStreams(socket, 1);
  const pings = Buffer.concat(Array.from({ length: 1000 }, () => ping));

  let pushed = 0;
  while (!socket.isPaused() && pushed < 10 * defaultLimits.maxUnreadBytes) {
    socket.push(pings);
    pushed += pings.length;
    await turn();
  }
  const held = server.bufferedBytes;
  while (socket.takeNext()) await turn();

  assert.ok(held > defaultLimits.maxUnreadBytes, `${held} bytes`);
  assert.ok(held < defaultLimits.maxUnreadBytes + 4 * pings.length, `${held} bytes`);
  assert.equal(socket.isPaused(), false);
  assert.deepEqual(incidents, []);
  server.destroy();
});

/** A connection with unread responses of 2 KiB each, and a clock. */
async function answered(t: TestContext, count: number) {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  const clock = { now: 0 };
  const pass = (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      clock.now += 1000;
      t.mock.timers.tick(1000);
    }
  };
  const socket = new SlowSocket();
  const opened = await openStreams(socket, count, { now: () => clock.now });
  for (const stream of opened.streams) stream.respond(smallBlock, { endStream: true });
  await turn();
  return { ...opened, socket, pass };
}

test('a peer with much to read is dropped once it takes nothing for the keepalive time', async (t) => {
  const { server, socket, incidents, pass } = await answered(t, 1000);

  for (let part = 0; part < 3; part++) {
    pass(79);
    assert.ok(socket.takeNext(), 'nothing left to take');
    await turn();
  }
  const wasOpen = !socket.destroyed;
  pass(81);
  await turn();

  assert.equal(wasOpen, true);
  assert.equal(socket.destroyed, true);
  assert.deepEqual(incidents, ['keepalive_timeout: Cannot answer a peer that does not read']);
  assert.deepEqual([server.openConnections, server.bufferedBytes], [0, 0]);
});

test('a slow reader is not dropped before it can read the keepalive PING', async (t) => {
  const { server, socket, incidents, pass } = await answered(t, 400);

  const wasRead = !socket.isPaused();
  let parts = 0;
  do {
    pass(30);
    await turn();
    parts++;
  } while (!socket.destroyed && socket.takeNext());

  assert.equal(wasRead, true);
  assert.ok(parts > 3, `${parts} parts`);
  assert.deepEqual(incidents, []);
  assert.equal(socket.destroyed, false);
  server.destroy();
});

test('header blocks are sent within a turn, however many there are', async () => {
  const socket = new SlowSocket({ isQuick: true });
  const { server, streams, incidents } = await openStreams(socket, 500);

  for (const stream of streams) stream.respond(largeBlock, { endStream: true });
  await turn();

  const bytes = socket.taken.reduce((sum, { length }) => sum + length, 0);
  assert.ok(bytes > 500 * largeBlock.length, `${bytes} bytes`);
  assert.deepEqual(incidents, []);
  server.destroy();
});

test('output for a socket that is not read is joined, and not written', async () => {
  const server = createHttp2Server({ serve: () => assert.fail('no call') });
  const socket = new SlowSocket({ allowHalfOpen: true, writableHighWaterMark: 1 });
  server.attach(socket);
  socket.push(Buffer.concat([preface, settings]));
  await turn();
  for (let count = 0; count < 3; count++) {
    socket.push(ping);
    await turn();
  }

  const writes = [];
  while (socket.takeNext()) {
    writes.push(socket.taken.at(-1)?.length);
    await turn();
  }

  // Acknowledgements of 17 bytes.
  assert.deepEqual(writes.slice(1), [3 * 17]);
  socket.destroy();
});

test('a peer that has stopped reading is reset, so that the kernel keeps no output for it', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const clock = { now: 0 };
  const server = createHttp2Server({
    now: () => clock.now,
    serve(stream) {
      stream.respond(ok);
      stream.end(trailer, Buffer.alloc(16 * 1024 * 1024));
      return { data() {}, end() {}, reset() {}, failed() {}, expire() {}, drain() {}, sent() {} };
    },
  });
  const listener = createServer({ allowHalfOpen: true }, (socket) => server.attach(socket));
  t.after(() => listener.close());
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const address = listener.address();
  assert.ok(typeof address === 'object' && address);
  const client = connect(address.port, '127.0.0.1');
  const noWindow = frameOf(FrameType.SETTINGS, 0, 0, Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]));
  const wide = frameOf(FrameType.WINDOW_UPDATE, 0, 0, Buffer.from([0x7f, 0, 0, 0]));
  client.pause();
  client.write(Buffer.concat([preface, noWindow, wide, request]));
  const failed = once(client, 'error');
  let before = 0;
  let isStill = 0;
  await eventually('a full socket', () => {
    const { bufferedBytes } = server;
    isStill = bufferedBytes > 0 && bufferedBytes === before ? isStill + 1 : 0;
    before = bufferedBytes;
    return isStill > 20;
  });

  // It does not answer a PING, either.
  for (let tick = 0; tick < 5; tick++) {
    clock.now += 100_000;
    t.mock.timers.tick(1000);
  }
  client.resume();

  const [error] = await failed;
  assert.match(String(error), /ECONNRESET/);
});
