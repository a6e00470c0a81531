import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPeer, goAwayCode, ok, post, trailer, word } from '../../test/http2_peer.ts';
import { Connection } from './connection.ts';
import { ErrorCode } from './errors.ts';
import { Flag, maxInt31 } from './frame.ts';
import { defaultLimits } from './limits.ts';
import { encodeSettings, SettingId } from './settings.ts';

const { END_STREAM, END_HEADERS, ACK } = Flag;
const hex = (text: string) => Buffer.from(text).toString('hex');

test('a connection greets with its SETTINGS and the room of all streams together', () => {
  const deps = { limits: defaultLimits, serve: () => assert.fail(), wake() {}, now: () => 0 };
  const connection = new Connection(deps);

  const greeting = Buffer.concat(connection.take({ room: true })).toString('hex');

  const settings = ['00030000', '03e8', '00040004', '0000', '00060000', '4000'].join('');
  const frames = ['000012', '04', '00', '00000000', settings, '000004080000000000', '000f0001'];
  assert.equal(greeting, frames.join(''));
});

test('a request comes in parts, and its response leaves in order', () => {
  const peer = createPeer();
  const { stream, request, events } = peer.open(1);
  peer.send('DATA', { stream: 1, payload: 'one' });
  peer.send('DATA', { stream: 1, payload: 'two' });
  peer.send('HEADERS', { stream: 1, flags: END_STREAM | END_HEADERS, payload: trailer });

  stream.respond(ok);
  stream.write(Buffer.from('three'));
  stream.write(Buffer.from('four'));
  stream.end(trailer);

  assert.deepEqual([request.method, request.path, request.scheme], ['POST', '/', 'http']);
  assert.deepEqual(events, ['data one', 'data two', 'end a b']);
  assert.deepEqual(peer.frames(), [
    // The first block says that there will be no dynamic table.
    { type: 'HEADERS', flags: END_HEADERS, streamId: 1, payload: `20${ok.toString('hex')}` },
    { type: 'DATA', flags: 0, streamId: 1, payload: hex('threefour') },
    {
      type: 'HEADERS',
      flags: END_HEADERS | END_STREAM,
      streamId: 1,
      payload: trailer.toString('hex'),
    },
  ]);
  assert.equal(peer.connection.openStreams, 0);
});

test('a response without a body ends with its headers, and one without trailers with its DATA', () => {
  const peer = createPeer();
  const first = peer.open(1, { endStream: true });
  const second = peer.open(3, { endStream: true });

  first.stream.respond(ok, { endStream: true });
  second.stream.respond(ok);
  second.stream.write(Buffer.from('x'));
  second.stream.end();

  assert.deepEqual(
    peer.frames().map(({ type, flags, streamId }) => [type, flags, streamId]),
    [
      ['HEADERS', END_HEADERS | END_STREAM, 1],
      ['HEADERS', END_HEADERS, 3],
      ['DATA', END_STREAM, 3],
    ],
  );
});

test('DATA waits for the window of its stream, and goes on when it opens', () => {
  const peer = createPeer();
  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 3]]) });
  const { stream } = peer.open(1, { endStream: true });
  stream.respond(ok);
  stream.write(Buffer.from('abcdefgh'));
  stream.end();

  const payloads = [];
  for (let i = 0; i < 3; i++) {
    payloads.push(...peer.frames().filter(({ type }) => type === 'DATA'));
    peer.send('WINDOW_UPDATE', { stream: 1, payload: word(i + 2) });
  }
  payloads.push(...peer.frames());

  assert.deepEqual(
    payloads.map(({ payload, flags }) => [payload, flags]),
    [
      [hex('abc'), 0],
      [hex('de'), 0],
      [hex('fgh'), END_STREAM],
    ],
  );
});

test('a window that the peer makes smaller can be negative, and is made up for', () => {
  const peer = createPeer();
  const { stream } = peer.open(1, { endStream: true });
  stream.respond(ok);
  stream.write(Buffer.alloc(100));
  peer.frames();

  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 60]]) });
  stream.write(Buffer.from('later'));
  const before = peer.frames().filter(({ type }) => type === 'DATA');
  peer.send('WINDOW_UPDATE', { stream: 1, payload: word(42) });

  assert.deepEqual(before, []);
  assert.deepEqual(
    peer.frames().map(({ payload }) => payload),
    [hex('la')],
  );
});

test('a window that is closed while DATA waits for room in the output holds it back', () => {
  const peer = createPeer();
  const { stream } = peer.open(1, { endStream: true });
  stream.respond(ok);
  stream.write(Buffer.alloc(60_000));

  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 0]]) });

  assert.deepEqual(
    peer.frames().map(({ type }) => type),
    ['HEADERS', 'SETTINGS'],
  );
});

test('streams take turns in the window of the connection', () => {
  const peer = createPeer();
  for (const id of [1, 3]) {
    const { stream } = peer.open(id, { endStream: true });
    stream.respond(ok);
    stream.write(Buffer.alloc(60_000));
  }

  const data = peer.frames().filter(({ type }) => type === 'DATA');

  assert.deepEqual(
    data.map(({ streamId, payload }) => [streamId, payload.length / 2]),
    [
      [1, 16_384],
      [3, 16_384],
      [1, 16_384],
      [3, 16_383],
    ],
  );
});

test('write() says when it is enough, and drain() when it is not any more', () => {
  const peer = createPeer();
  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 0]]) });
  const { stream, events } = peer.open(1, { endStream: true });
  stream.respond(ok);

  const said = [stream.write(Buffer.alloc(40_000)), stream.write(Buffer.alloc(40_000))];
  peer.send('WINDOW_UPDATE', { stream: 1, payload: word(60_000) });
  peer.frames();

  assert.deepEqual(said, [true, false]);
  assert.deepEqual(events, ['end', 'drain']);
});

test('the peer gets room for what is consumed, and for what nobody will consume', () => {
  const peer = createPeer({ streamWindowSize: 100, connectionWindowSize: 65_535 });
  const { stream } = peer.open(1);
  const body = 'x'.repeat(60);

  peer.send('DATA', { stream: 1, payload: body });
  const unconsumed = peer.frames();
  stream.consume(60);
  const consumed = peer.frames();
  for (let id = 3; id < 2200; id += 2) {
    peer.open(id);
    peer.send('DATA', { stream: id, payload: body });
    peer.send('RST_STREAM', { stream: id, payload: word(ErrorCode.CANCEL) });
    peer.clock.now += 1000;
  }
  const given = peer.frames().filter(({ type }) => type === 'WINDOW_UPDATE');

  assert.deepEqual(unconsumed, []);
  assert.deepEqual(consumed, [
    { type: 'WINDOW_UPDATE', flags: 0, streamId: 1, payload: word(60).toString('hex') },
  ]);
  assert.ok(given.every(({ streamId }) => streamId === 0));
  assert.equal(peer.connection.openStreams, 1);
});

test('a response that ends before its request asks the peer to stop', () => {
  const peer = createPeer();
  const { stream, events } = peer.open(1);

  stream.respond(ok, { endStream: true });
  peer.send('DATA', { stream: 1, payload: 'on its way', flags: END_STREAM });

  assert.deepEqual(
    peer.frames().map(({ type, payload }) => [type, payload]),
    [
      ['HEADERS', '2088'],
      ['RST_STREAM', '00000000'],
    ],
  );
  assert.deepEqual(events, []);
});

test('shutdown() says that it leaves, then which stream is the last, and waits for those', () => {
  const peer = createPeer();
  const { stream } = peer.open(1, { endStream: true });

  peer.connection.shutdown();
  const [first, ping] = peer.frames();
  peer.open(3, { endStream: true }).stream.respond(ok, { endStream: true });
  peer.send('PING', { flags: ACK, payload: Buffer.from(ping?.payload ?? '', 'hex') });
  const last = peer.frames().at(-1);
  peer.send('HEADERS', { stream: 5, flags: END_HEADERS | END_STREAM, payload: post });
  const over = [peer.connection.isOver];
  stream.respond(ok, { endStream: true });
  over.push(peer.connection.isOver);

  assert.equal(first?.payload, `${word(maxInt31).toString('hex')}00000000`);
  assert.deepEqual([last?.type, last?.payload], ['GOAWAY', '0000000300000000']);
  assert.deepEqual(over, [false, true]);
  assert.equal(peer.served.length, 2);
});

test('lost() ends what is open', () => {
  const peer = createPeer();
  const { events } = peer.open(1);

  peer.connection.lost();

  assert.deepEqual(events, [`reset ${ErrorCode.CANCEL}`]);
  assert.equal(peer.connection.openStreams, 0);
});

test('a stream that the peer resets is told, and says no more', () => {
  const peer = createPeer();
  const { stream, events } = peer.open(1);

  peer.send('RST_STREAM', { stream: 1, payload: word(ErrorCode.CANCEL) });
  stream.respond(ok);
  stream.write(Buffer.from('x'));
  stream.end(trailer);
  stream.consume(5);

  assert.deepEqual(events, [`reset ${ErrorCode.CANCEL}`]);
  assert.deepEqual(peer.frames(), []);
});

test('a connection that failed says why, and takes nothing more', () => {
  const peer = createPeer();
  const { events } = peer.open(1);

  peer.send('PUSH_PROMISE', { stream: 1 });
  peer.send('PING', { payload: Buffer.alloc(8) });
  const frames = peer.frames();

  assert.equal(goAwayCode(frames), ErrorCode.PROTOCOL_ERROR);
  assert.equal(frames.length, 1);
  assert.deepEqual(events, [`reset ${ErrorCode.CANCEL}`]);
  assert.equal(peer.connection.isOver, true);
});
