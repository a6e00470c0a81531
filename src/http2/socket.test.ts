import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { frameOf, ok, post, trailer } from '../../test/http2_peer.ts';
import { Flag, FrameType, preface } from './frame.ts';
import { FrameReader } from './frame_reader.ts';
import { createHttp2Server } from './server.ts';
import type { Stream } from './stream.ts';

/** A socket whose other end takes what is written when it is told to. */
class SlowSocket extends Socket {
  readonly #waiting: [bytes: Buffer, taken: () => void][] = [];
  readonly taken: Buffer[] = [];

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#waiting.push([bytes, done]);
  }

  /** Node would look for a handle first. */
  override _final(done: () => void): void {
    done();
  }

  /** Takes the next of what was written, if there is any. */
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

/** A connection with a call, of which the peer has taken nothing. */
async function openCall(t: TestContext, maxConnections?: number) {
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

/** A connection that has said all that it has to say, of which the peer has taken nothing. */
async function sayAll(t: TestContext) {
  const call = await openCall(t);
  void call.server.shutdown();
  call.socket.push(pingAnswer);
  await turn();
  call.answer();
  while (!call.socket.writableEnded) await turn();
  return call;
}

test('a slow reader gets the end of a response, however long after GOAWAY it takes it', async (t) => {
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

test('a PING that comes when all has been said does not cut what has not left', async (t) => {
  const { socket } = await sayAll(t);

  socket.push(ping);
  for (let i = 0; i < 3; i++) await turn();

  assert.equal(socket.destroyed, false);
});

test('a peer that takes nothing of what is left is given up in the time of a silent one', async (t) => {
  const { server, socket, pass } = await sayAll(t);

  for (let second = 0; second < 79; second++) pass(1000);
  const wasOpen = !socket.destroyed;
  for (let second = 0; second < 2; second++) pass(1000);
  await turn();

  assert.equal(wasOpen, true);
  assert.equal(socket.destroyed, true);
  assert.equal(server.openConnections, 0);
});

test('a connection whose last response has not left does not go for another', async (t) => {
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

test('a connection that goes for another has gone at once, though its peer takes nothing', async (t) => {
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
