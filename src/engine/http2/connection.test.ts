import assert from 'node:assert/strict';
import { test } from 'node:test';
import { block, field, insert } from '../../../test/hpack/blocks.ts';
import { cutTest } from '../../../test/support/http2_cuts.ts';
import {
  createPeer,
  goAwayCode,
  ok,
  post,
  trailer,
  word,
} from '../../../test/support/http2_peer.ts';
import { Held } from '../held.ts';
import { Connection } from './connection.ts';
import { ErrorCode } from './errors.ts';
import { Flag, maxInt31, preface } from './frames.ts';
import { encodeHeaders } from './hpack/encoder.ts';
import { encodeSettings, SettingId } from './settings.ts';
import type { Stream } from './stream.ts';
import { defaultLimits } from '../../../test/support/engine.ts';

const { END_STREAM, END_HEADERS, ACK, PADDED, PRIORITY } = Flag;
const hex = (text: string) => Buffer.from(text).toString('hex');

test('a connection starts with SETTINGS and the connection window', () => {
  const connection = new Connection({
    limits: defaultLimits,
    serve: () => assert.fail(),
    wake() {},
    now: () => 0,
  });

  // An HTTP/1.1 client could not read them, and its request may start with the same byte.
  const early = connection.take({ room: true });
  connection.receive(preface.subarray(0, 1));
  early.push(...connection.take({ room: true }));
  connection.receive(preface.subarray(1));
  const greeting = Buffer.concat(connection.take({ room: true })).toString('hex');

  const settings = ['00030000', '03e8', '00040000', 'ffff', '00060000', '4000'].join('');
  const frames = ['000012', '04', '00', '00000000', settings, '000004080000000000', '000f0001'];
  assert.deepEqual(early, []);
  assert.equal(greeting, frames.join(''));
});

cutTest('a request comes in parts, and its response leaves in order', (create) => {
  const peer = create();
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
    // The first block starts with a table size update to 0.
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

for (const [how, respond] of Object.entries({
  'ends with a part': (stream: Stream) => stream.end(undefined, Buffer.from('x')),
  'is abandoned behind one': (stream: Stream) => {
    stream.write(Buffer.from('x'));
    stream.abandon(trailer);
  },
  'ends with nothing': (stream: Stream) => stream.end(),
})) {
  test(`a connection sends no DATA without response headers that were dropped for lack of memory, with a body that ${how}`, () => {
    const block = Buffer.concat([ok, trailer, trailer, trailer, trailer]);
    const peer = createPeer({ maxUnreadBytes: block.length - 1 });
    const { stream } = peer.open(1, { endStream: true });
    // More than a quarter above the limit.
    peer.account.charge(Held.output, 100 * 1024 * 1024);

    stream.respond(block);
    respond(stream);

    const types = peer.frames().map(({ type }) => type);
    assert.ok(types.includes('GOAWAY'), types.join());
    assert.ok(!types.includes('DATA'), types.join());
  });
}

cutTest('a response ends with what comes last: its headers or its DATA', (create) => {
  const peer = create();
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

cutTest('informational responses go before the final one, as many as there are', (create) => {
  const peer = create();
  const { stream, events } = peer.open(1);
  const blocks = [
    encodeHeaders([':status', '100']),
    encodeHeaders([':status', '103', 'link', 'a']),
    encodeHeaders([':status', '103', 'link', 'b']),
    ok,
  ];

  for (const block of blocks.slice(0, 3)) stream.respond(block);
  peer.send('DATA', { stream: 1, payload: 'as asked', flags: END_STREAM });
  stream.respond(ok);
  stream.end(trailer);

  assert.deepEqual(
    peer.frames().map(({ type, flags, payload }) => [type, flags, payload]),
    [
      ...blocks.map((block, i) => [
        'HEADERS',
        END_HEADERS,
        `${i === 0 ? '20' : ''}${block.toString('hex')}`,
      ]),
      ['HEADERS', END_HEADERS | END_STREAM, trailer.toString('hex')],
    ],
  );
  assert.deepEqual(events, ['data as asked', 'end']);
});

cutTest('a header block larger than a frame goes on in CONTINUATION', (create) => {
  const peer = create();
  const { stream } = peer.open(1, { endStream: true });
  const large = encodeHeaders([':status', '200', 'x', '~'.repeat(40_000)]);

  stream.respond(large);
  stream.end(large.subarray(0, 16_385));
  const frames = peer.frames();

  assert.deepEqual(
    frames.map(({ type, flags, payload }) => [type, flags, payload.length / 2]),
    [
      ['HEADERS', 0, 16_384],
      ['CONTINUATION', 0, 16_384],
      ['CONTINUATION', END_HEADERS, large.length + 1 - 2 * 16_384],
      ['HEADERS', END_STREAM, 16_384],
      ['CONTINUATION', END_HEADERS, 1],
    ],
  );
  const block = frames.slice(0, 3).map(({ payload }) => payload);
  assert.equal(block.join(''), `20${large.toString('hex')}`);
});

cutTest('requests whose header block comes in parts are served, however many', (create) => {
  const peer = create();
  const held = peer.account.bytes;
  const field = encodeHeaders(['x', '~'.repeat(5000)]);

  for (let stream = 1; stream < 100; stream += 2) {
    peer.send('HEADERS', { stream, flags: END_STREAM, payload: post });
    peer.send('CONTINUATION', { stream, payload: field.subarray(0, 2000) });
    peer.send('CONTINUATION', { stream, flags: END_HEADERS, payload: field.subarray(2000) });
  }

  assert.deepEqual(peer.frames(), []);
  assert.equal(peer.served.length, 50);
  for (const { stream, request, events } of peer.served) {
    assert.deepEqual([request.fields, events], [['x', '~'.repeat(5000)], ['end']]);
    stream.respond(ok, { endStream: true });
  }
  peer.frames();
  assert.equal(peer.account.bytes, held);
});

cutTest('padding of every length is left out, and the peer gets its room back', (create) => {
  const peer = create({ connectionWindowSize: 65_535 });
  const padded = (length: number, ...parts: Uint8Array[]) =>
    Buffer.concat([Buffer.from([length]), ...parts, Buffer.alloc(length)]);
  const dependsOn0 = Buffer.from([0x80, 0, 0, 0, 15]);

  let room = 0;
  for (let length = 0; length < 256; length++) {
    const stream = 2 * length + 1;
    const send = (type: 'HEADERS' | 'DATA', flags: number, ...parts: Uint8Array[]) =>
      peer.send(type, { stream, flags: flags | PADDED, payload: padded(length, ...parts) });
    send('HEADERS', END_HEADERS | PRIORITY, dependsOn0, post);
    send('DATA', 0, Buffer.from('one'));
    send('DATA', 0, Buffer.from('two'));
    send('HEADERS', END_HEADERS | END_STREAM, trailer);
    room += 2 * (length + 1);
  }

  const given = peer.frames().filter(({ streamId }) => streamId === 0);
  const sum = given.reduce((total, { payload }) => total + Number.parseInt(payload, 16), 0);
  assert.ok(sum <= room && sum > room - 65_535 / 2, `${sum} of ${room}`);
  assert.equal(peer.served.length, 256);
  for (const { stream, events } of peer.served) {
    assert.deepEqual(events, ['data one', 'data two', 'end a b']);
    assert.equal(stream.messageBytes, 6);
  }
});

cutTest('DATA waits for the window of its stream, and goes on when it opens', (create) => {
  const peer = create();
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

cutTest('a window that the peer makes smaller can be negative, and is made up for', (create) => {
  const peer = create();
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

cutTest('a window closed while DATA waits for room in the output holds it back', (create) => {
  const peer = create();
  const { stream } = peer.open(1, { endStream: true });
  stream.respond(ok);
  stream.write(Buffer.alloc(60_000));

  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 0]]) });

  assert.deepEqual(
    peer.frames().map(({ type }) => type),
    ['HEADERS', 'SETTINGS'],
  );
});

cutTest('streams take turns in the window of the connection', (create) => {
  const peer = create();
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

cutTest('write() says when it is enough, and drain() when it is not any more', (create) => {
  const peer = create();
  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 0]]) });
  const { stream, events } = peer.open(1, { endStream: true });
  stream.respond(ok);

  const said = [stream.write(Buffer.alloc(40_000)), stream.write(Buffer.alloc(40_000))];
  peer.send('WINDOW_UPDATE', { stream: 1, payload: word(60_000) });
  peer.frames();

  assert.deepEqual(said, [true, false]);
  assert.deepEqual(events, ['end', 'drain']);
});

cutTest('streams that nobody consumes hold back themselves, and not their connection', (create) => {
  const peer = create({ streamWindowSize: 50_000, connectionWindowSize: 65_535 });
  const part = 'x'.repeat(10_000);

  for (let stream = 1; stream < 40; stream += 2) {
    peer.open(stream);
    for (let i = 0; i < 5; i++) peer.send('DATA', { stream, payload: part });
  }
  const given = peer.frames().filter(({ type }) => type === 'WINDOW_UPDATE');
  const { events } = peer.open(41);
  peer.send('DATA', { stream: 41, payload: 'hello' });

  const sum = given.reduce((total, { payload }) => total + Number.parseInt(payload, 16), 0);
  assert.ok(given.every(({ streamId }) => streamId === 0));
  assert.ok(sum > 1_000_000 - 65_535 / 2, `${sum} bytes`);
  assert.deepEqual(events, ['data hello']);
  assert.ok(peer.account.bytes >= 1_000_000);
});

cutTest('abandon() sends the whole parts that windows have room for, then trailers', (create) => {
  const peer = create();
  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 0]]) });
  const { stream } = peer.open(1, { endStream: true });
  stream.respond(ok);
  for (const part of ['abc', 'de', 'fghijk']) stream.write(Buffer.from(part));
  stream.end(ok);
  const before = peer.frames();
  // In one turn; otherwise flush() would start with the third.
  peer.send('WINDOW_UPDATE', { stream: 1, payload: word(6) });

  stream.abandon(trailer);

  assert.deepEqual(
    before.map(({ type }) => type),
    ['SETTINGS', 'HEADERS'],
  );
  assert.deepEqual(
    peer.frames().map(({ type, payload }) => [type, payload]),
    [
      ['DATA', hex('abcde')],
      ['HEADERS', trailer.toString('hex')],
    ],
  );
  assert.equal(peer.connection.openStreams, 0);
  assert.equal(peer.connection.holdsMuch, false);
});

cutTest('abandon() resets a stream whose peer has got the half of a part', (create) => {
  const peer = create();
  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 4]]) });
  const { stream, events } = peer.open(1, { endStream: true });
  stream.respond(ok);
  for (const part of ['abc', 'def']) stream.write(Buffer.from(part));
  stream.end(ok);
  peer.frames();

  stream.abandon(trailer);

  assert.deepEqual(
    peer.frames().map(({ type, payload }) => [type, payload]),
    [['RST_STREAM', word(ErrorCode.CANCEL).toString('hex')]],
  );
  assert.deepEqual(events, ['end']);
  assert.equal(peer.connection.openStreams, 0);
  assert.equal(peer.connection.holdsMuch, false);
});

cutTest('abandon() of a response that is begun and holds nothing ends it', (create) => {
  const peer = create();
  const { stream } = peer.open(1, { endStream: true });
  stream.respond(ok);

  stream.abandon();

  assert.deepEqual(
    peer.frames().map(({ type, flags }) => [type, flags]),
    [
      ['HEADERS', END_HEADERS],
      ['DATA', END_STREAM],
    ],
  );
});

cutTest('the peer gets room for what is consumed, and for what nobody will consume', (create) => {
  const peer = create({
    initialWindowSize: 100,
    streamWindowSize: 100,
    connectionWindowSize: 65_535,
  });
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

cutTest('a stream that is consumed may send more at once, where there is room', (create) => {
  const peer = create({ initialWindowSize: 100, streamWindowSize: 1000 });
  const { stream } = peer.open(1);
  const given: number[] = [];
  for (const length of [100, 1000]) {
    peer.send('DATA', { stream: 1, payload: 'x'.repeat(length) });
    stream.consume(length);
    const updates = peer.frames().filter(({ type }) => type === 'WINDOW_UPDATE');
    given.push(...updates.map(({ payload }) => Number.parseInt(payload, 16)));
  }

  assert.deepEqual(given, [100 + 900, 1000]);
});

cutTest('a response that ends before its request asks the peer to stop', (create) => {
  const peer = create();
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

cutTest('shutdown() says that it leaves, then which stream is last, and waits', (create) => {
  const peer = create();
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

cutTest('what ends a connection names no stream that came after the last one', (create) => {
  const peer = create();
  peer.open(3, { endStream: true });
  peer.connection.shutdown();
  peer.connection.finishShutdown();
  peer.send('HEADERS', { flags: Flag.END_HEADERS | Flag.END_STREAM, stream: 5, payload: post });
  peer.frames();

  peer.send('WINDOW_UPDATE', { payload: word(0) });

  const [goAway] = peer.frames().filter(({ type }) => type === 'GOAWAY');
  assert.match(goAway?.payload ?? '', /^0000000300000001/);
});

cutTest('lost() ends what is open', (create) => {
  const peer = create();
  const { events } = peer.open(1);

  peer.connection.lost();

  assert.deepEqual(events, [`reset ${ErrorCode.CANCEL}`]);
  assert.equal(peer.connection.openStreams, 0);
});

cutTest('a stream that the peer resets is told, and says no more', (create) => {
  const peer = create();
  const { stream, events } = peer.open(1);

  peer.send('RST_STREAM', { stream: 1, payload: word(ErrorCode.CANCEL) });
  stream.respond(ok);
  stream.write(Buffer.from('x'));
  stream.end(trailer);
  stream.consume(5);

  assert.deepEqual(events, [`reset ${ErrorCode.CANCEL}`]);
  assert.deepEqual(peer.frames(), []);
});

cutTest('a connection that failed says why, and takes nothing more', (create) => {
  const peer = create();
  const { events } = peer.open(1);

  peer.send('PUSH_PROMISE', { stream: 1 });
  peer.send('PING', { payload: Buffer.alloc(8) });
  const frames = peer.frames();

  assert.equal(goAwayCode(frames), ErrorCode.PROTOCOL_ERROR);
  assert.equal(frames.length, 1);
  assert.deepEqual(events, [`failed ${ErrorCode.PROTOCOL_ERROR}`]);
  assert.equal(peer.connection.isOver, true);
});

cutTest('what a connection keeps is counted, and gone when its streams are', (create) => {
  const peer = create();
  const held = () => peer.account.bytes;
  const before = held();

  const { stream } = peer.open(1);
  const opened = held();
  peer.send('DATA', { stream: 1, payload: 'x'.repeat(100) });
  const received = held();
  stream.respond(ok);
  peer.frames();
  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 0]]) });
  peer.frames();
  stream.write(Buffer.alloc(1000));
  const written = held();
  peer.sendRaw(Buffer.from('0000640000', 'hex'));
  const begun = held();
  peer.sendRaw(Buffer.concat([word(1), Buffer.alloc(99)]));
  const cut = held();
  peer.sendRaw(Buffer.alloc(1));
  stream.reset(ErrorCode.CANCEL);
  peer.frames();

  assert.equal(received - opened, 100);
  // Including the overhead of a part.
  assert.equal(written - received, 1000 + 128);
  assert.equal(begun - written, 9);
  // The buffer of an incomplete frame grows as it arrives.
  assert.ok(cut - written >= 108 && cut - written <= 109);
  // `:method POST`, `:scheme http`, `:path /`, and 32 for each. The reset stream is remembered.
  assert.equal(opened - held(), 28 + 3 * 32 + defaultLimits.streamCost - 32);
  // The header cache keeps the request's block.
  assert.ok(held() - before < 200);
});

cutTest('evict() ends what holds its part and has gone longest without progress', (create) => {
  const peer = create();
  const [small, large, other] = [peer.open(1), peer.open(3), peer.open(5)];
  peer.send('DATA', { stream: 1, payload: 'x'.repeat(10) });
  for (const stream of [3, 5]) peer.send('DATA', { stream, payload: 'x'.repeat(10_000) });
  peer.frames();

  const freed = peer.connection.evict('bytes', -1);
  const [reset] = peer.frames();
  const after = [small, large, other].map(({ stream }) => stream.closed);

  assert.ok(freed >= 10_000, `${freed} bytes`);
  assert.deepEqual([reset?.type, reset?.streamId], ['RST_STREAM', 3]);
  assert.equal(reset?.payload, word(ErrorCode.ENHANCE_YOUR_CALM).toString('hex'));
  assert.deepEqual(after, [false, true, false]);
  assert.equal(large.events.at(-1), `failed ${ErrorCode.ENHANCE_YOUR_CALM}`);
});

cutTest(
  'evict() spares what answers a message in the room that it was given, and goes on',
  (create) => {
    const peer = create();
    peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 0]]) });
    const [answer, other, beyond] = [peer.open(1), peer.open(3), peer.open(5)];
    for (const { stream } of [answer, other, beyond]) stream.write(Buffer.alloc(10_000));
    for (const [{ stream }, room] of [
      [answer, 30_000],
      [beyond, 9000],
    ] as const) {
      stream.admit(room);
      stream.endAdmission();
    }

    const ended = [-1, -1, -1, 0].map((since) => {
      peer.connection.evict('bytes', since);
      return [answer, other, beyond]
        .filter(({ stream }) => stream.closed)
        .map(({ stream }) => stream.id);
    });

    assert.deepEqual(ended, [[3], [3, 5], [3, 5], [1, 3, 5]]);
  },
);

cutTest('evict() ends the connection where most of its bytes are none of its streams', (create) => {
  const peer = create();
  const { events } = peer.open(1);
  peer.send('HEADERS', { stream: 3, payload: post });
  peer.send('CONTINUATION', { stream: 3, payload: Buffer.alloc(16_000, 0x84) });

  const freed = peer.connection.evict('bytes', -1);

  assert.ok(freed > 16_000, `${freed} bytes`);
  assert.equal(goAwayCode(peer.frames()), ErrorCode.ENHANCE_YOUR_CALM);
  assert.deepEqual(events, [`failed ${ErrorCode.ENHANCE_YOUR_CALM}`]);
  assert.equal(peer.connection.evict('bytes', -1), 0);
});

cutTest(
  'evictStalled() ends streams that are in the middle of a message, and no others',
  (create) => {
    const peer = create();
    const [stalled, idle] = [peer.open(1), peer.open(3)];
    peer.send('DATA', { stream: 1, payload: 'x'.repeat(2000) });
    peer.frames();

    const before = peer.connection.evictStalled(-1);
    const freed = peer.connection.evictStalled(0);

    assert.equal(before, 0);
    assert.ok(freed >= 2000, `${freed} bytes`);
    assert.deepEqual([stalled.stream.closed, idle.stream.closed], [true, false]);
  },
);

cutTest('writers of all streams wait when their connection holds enough', (create) => {
  const peer = create({ connectionBufferSize: 1200 });
  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 0]]) });
  const [first, second] = [peer.open(1), peer.open(3)];

  const said = [first.stream.write(Buffer.alloc(900)), second.stream.write(Buffer.alloc(100))];
  peer.send('WINDOW_UPDATE', { stream: 3, payload: word(100) });
  peer.frames();
  said.push(first.stream.write(Buffer.alloc(10)));

  assert.deepEqual(said, [true, false, true]);
  assert.deepEqual(second.events, ['drain']);
});

cutTest('what is remembered of streams that were reset counts, and can be forgotten', (create) => {
  const peer = create();
  const before = peer.account.bytes;
  for (let id = 1; id < 400; id += 2) peer.open(id).stream.respond(ok, { endStream: true });
  peer.frames();
  const remembered = peer.account.bytes - before;
  const { stream } = peer.open(401);

  peer.connection.forget();
  peer.send('DATA', { stream: 1, payload: 'late' });
  const whileOpen = peer.frames();
  stream.reset(ErrorCode.CANCEL);
  peer.connection.forget();
  peer.frames();
  const after = peer.account.bytes;
  peer.send('DATA', { stream: 1, payload: 'later' });
  const [answer] = peer.frames();

  // A Set takes about as much for each.
  assert.ok(remembered >= 200 * 20, `${remembered} bytes`);
  assert.deepEqual(whileOpen, []);
  assert.equal(after, before);
  assert.equal(answer?.type, 'RST_STREAM');
  assert.equal(answer?.payload, word(ErrorCode.STREAM_CLOSED).toString('hex'));
  assert.equal(peer.connection.isOver, false);
});

cutTest(
  'a header list is decoded anew once it was forgotten, and from the same table',
  (create) => {
    const peer = create();
    const request = block(post, insert('a', 'b'));
    const again = block(post, field(62));
    const headers = (stream: number, payload: Buffer) =>
      peer.send('HEADERS', { stream, flags: END_HEADERS | END_STREAM, payload });
    headers(1, request);
    headers(3, again);
    headers(5, again);
    const [held, spare] = [peer.account.bytes, peer.connection.spareBytes];

    peer.connection.forget();
    const freed = held - peer.account.bytes;
    headers(7, again);

    const [, second, third, fourth] = peer.served.map((served) => served.request);
    assert.equal(second, third);
    assert.notEqual(third, fourth);
    assert.deepEqual(third, fourth);
    assert.ok(spare > 0);
    assert.equal(freed, spare);
  },
);
