import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { block, field, insert } from '../../../test/hpack/blocks.ts';
import { cutTest } from '../../../test/support/http2_cuts.ts';
import {
  goAwayCode,
  ok,
  type Peer,
  post,
  trailer,
  word,
} from '../../../test/support/http2_peer.ts';
import { Connection } from './connection.ts';
import { ErrorCode } from './errors.ts';
import { Flag, maxInt31, preface } from './frames.ts';
import { encodeHeaders } from './hpack/encoder.ts';
import { encodeSettings, SettingId } from './settings.ts';
import { defaultLimits } from '../../../test/support/engine.ts';

const { END_STREAM, END_HEADERS, ACK, PADDED, PRIORITY } = Flag;

/** A frame, as the arguments of Peer.send(). */
type Sent = Parameters<Peer['send']>;
/** Frames that violate the protocol. */
type Wrong = readonly Sent[];
type Code = keyof typeof ErrorCode;

/** So many bytes. */
const bytes = (length: number) => Buffer.alloc(length);
const request = [':method', 'POST', ':scheme', 'http', ':path', '/'];
/** HEADERS with a complete block of these fields. */
const headers = (stream: number, fields: readonly string[], flags = 0): Sent => [
  'HEADERS',
  { stream, flags: END_HEADERS | flags, payload: encodeHeaders(fields) },
];

const nameOf = (wrong: Wrong) => inspect(wrong, { depth: 3, breakLength: Infinity });

/** Asserts that each violation ends the connection with this code, while stream 1 is open and 3 closed. */
function assertConnectionErrors(create: () => Peer, code: Code, wrongs: readonly Wrong[]): void {
  for (const wrong of wrongs) {
    const peer = create();
    const { events } = peer.open(1);
    peer.open(3, { endStream: true }).stream.respond(ok, { endStream: true });
    peer.frames();

    for (const sent of wrong) peer.send(...sent);

    const frames = peer.frames();
    assert.equal(goAwayCode(frames), ErrorCode[code], nameOf(wrong));
    assert.equal(frames.at(-1)?.type, 'GOAWAY');
    assert.deepEqual([peer.connection.isOver, peer.connection.openStreams], [true, 0]);
    assert.equal(events.at(-1), `failed ${ErrorCode[code]}`);
    // No charge of a stream is left.
    assert.equal(peer.connection.onlyReceives, false, nameOf(wrong));
  }
}

/** Asserts that each violation ends stream 5 only, with this code: stream 1 continues, and a new one is served. */
function assertStreamErrors(create: () => Peer, code: Code, wrongs: readonly Wrong[]): void {
  for (const wrong of wrongs) {
    const peer = create();
    const first = peer.open(1);
    peer.frames();

    for (const sent of wrong) peer.send(...sent);

    const told = peer.frames().filter(({ type }) => type !== 'WINDOW_UPDATE');
    const reset = { flags: 0, streamId: 5, payload: word(ErrorCode[code]).toString('hex') };
    assert.deepEqual(told, [{ type: 'RST_STREAM', ...reset }], nameOf(wrong));
    const served = peer.served.find(({ stream }) => stream.id === 5);
    assert.ok(served === undefined || served.events.at(-1) === `failed ${ErrorCode[code]}`);
    peer.send('DATA', { stream: 1, payload: 'goes on', flags: END_STREAM });
    peer.open(7).stream.respond(ok);
    assert.deepEqual(first.events, ['data goes on', 'end']);
    assert.equal(peer.frames().at(-1)?.streamId, 7);
    // No charge of stream 5 is left.
    first.stream.consume('goes on'.length);
    assert.equal(peer.connection.onlyReceives, false, nameOf(wrong));
  }
}

test('a client whose first frame is not SETTINGS gets PROTOCOL_ERROR', () => {
  for (const frame of ['000000060000000000', '000000040100000000', '000000010500000001']) {
    const connection = new Connection({
      limits: defaultLimits,
      serve: () => assert.fail(),
      wake() {},
      now: () => 0,
    });
    connection.receive(preface);
    connection.take({ room: true });

    connection.receive(Buffer.from(frame, 'hex'));

    const goAway = Buffer.concat(connection.take({ room: true })).toString('hex', 3, 17);
    assert.equal(goAway, '0700000000000000000000000001', frame);
  }
});

cutTest('frames for streams that are idle, or never can be, end the connection', (create) => {
  assertConnectionErrors(create, 'PROTOCOL_ERROR', [
    // Stream 0, even-numbered streams, and idle ones.
    ...[0, 2, 4, 5, maxInt31].flatMap((stream): Wrong[] => [
      [['DATA', { stream, payload: 'x' }]],
      [['DATA', { stream, flags: END_STREAM }]],
      [['RST_STREAM', { stream, payload: word(ErrorCode.CANCEL) }]],
      [['CONTINUATION', { stream, flags: END_HEADERS, payload: post }]],
      [['PUSH_PROMISE', { stream, flags: END_HEADERS, payload: word(2) }]],
    ]),
    ...[2, 4, 5, maxInt31].map((stream): Wrong => [
      ['WINDOW_UPDATE', { stream, payload: word(1) }],
    ]),
    ...[0, 2, 4].flatMap((stream): Wrong[] => [
      [['HEADERS', { stream, flags: END_HEADERS | END_STREAM, payload: post }]],
      // In the middle of a header block.
      [['HEADERS', { stream, payload: post }]],
    ]),
    [['PRIORITY', { stream: 0, payload: bytes(5) }]],
  ]);
});

cutTest('frames of the connection that name a stream end the connection', (create) => {
  assertConnectionErrors(
    create,
    'PROTOCOL_ERROR',
    [1, 3, 5].flatMap((stream): Wrong[] => [
      [['SETTINGS', { stream }]],
      [['SETTINGS', { stream, flags: ACK }]],
      [['PING', { stream, payload: bytes(8) }]],
      [['GOAWAY', { stream, payload: bytes(8) }]],
    ]),
  );
});

cutTest('nothing but its own CONTINUATION comes into a header block', (create) => {
  const begun: Sent = ['HEADERS', { stream: 5, payload: post }];
  assertConnectionErrors(create, 'PROTOCOL_ERROR', [
    [begun, ['DATA', { stream: 1, payload: 'x' }]],
    [begun, ['HEADERS', { stream: 5, flags: END_HEADERS, payload: post }]],
    [begun, ['HEADERS', { stream: 7, flags: END_HEADERS, payload: post }]],
    [begun, ['PRIORITY', { stream: 5, payload: bytes(5) }]],
    [begun, ['RST_STREAM', { stream: 5, payload: word(ErrorCode.CANCEL) }]],
    [begun, ['SETTINGS']],
    [begun, ['PING', { payload: bytes(8) }]],
    [begun, ['GOAWAY', { payload: bytes(8) }]],
    [begun, ['WINDOW_UPDATE', { payload: word(1) }]],
    [begun, ['CONTINUATION', { stream: 1, flags: END_HEADERS }]],
    [begun, ['CONTINUATION', { stream: 5, flags: END_HEADERS }], ['CONTINUATION', { stream: 5 }]],
  ]);
});

cutTest('frames of a wrong size end the connection', (create) => {
  assertConnectionErrors(create, 'FRAME_SIZE_ERROR', [
    ...[0, 7, 9].map((length): Wrong => [['PING', { payload: bytes(length) }]]),
    ...[0, 3, 5].flatMap((length): Wrong[] => [
      [['RST_STREAM', { stream: 1, payload: bytes(length) }]],
      [['WINDOW_UPDATE', { stream: 0, payload: bytes(length) }]],
      [['WINDOW_UPDATE', { stream: 1, payload: bytes(length) }]],
    ]),
    ...[1, 5, 7, 13].map((length): Wrong => [['SETTINGS', { payload: bytes(length) }]]),
    [['SETTINGS', { flags: ACK, payload: bytes(6) }]],
    ...[0, 7].map((length): Wrong => [['GOAWAY', { payload: bytes(length) }]]),
    // No RST_STREAM may name an idle stream (section 6.4).
    [['PRIORITY', { stream: 5, payload: bytes(4) }]],
    [['PRIORITY', { stream: 2, payload: bytes(6) }]],
    // Too short for their flags (section 4.2).
    [['DATA', { stream: 1, flags: PADDED }]],
    [['DATA', { stream: 3, flags: PADDED }]],
    [['HEADERS', { stream: 5, flags: END_HEADERS | PADDED }]],
    [['HEADERS', { stream: 5, flags: END_HEADERS | PRIORITY, payload: bytes(4) }]],
    [['HEADERS', { stream: 5, flags: END_HEADERS | PADDED | PRIORITY, payload: bytes(5) }]],
    // Above SETTINGS_MAX_FRAME_SIZE.
    [['DATA', { stream: 1, payload: bytes(16_385) }]],
    [['HEADERS', { stream: 5, flags: END_HEADERS, payload: bytes(16_385) }]],
    [['SETTINGS', { payload: bytes(16_386) }]],
    [['PING', { payload: bytes(16_385) }]],
  ]);
});

cutTest('padding that is longer than what it pads ends the connection', (create) => {
  const padded = (length: number, most: number) =>
    Buffer.concat([Buffer.from([length]), bytes(most)]);
  const both = END_HEADERS | PADDED | PRIORITY;
  assertConnectionErrors(create, 'PROTOCOL_ERROR', [
    // On a closed stream, and on one that the server has reset, too.
    [['DATA', { stream: 3, flags: PADDED, payload: padded(1, 0) }]],
    [headers(5, ['a', 'b']), ['DATA', { stream: 5, flags: PADDED, payload: padded(1, 0) }]],
    [
      headers(5, request, END_STREAM),
      ['DATA', { stream: 5, flags: PADDED, payload: padded(9, 8) }],
    ],
    [['DATA', { stream: 1, flags: PADDED, payload: padded(1, 0) }]],
    [['DATA', { stream: 1, flags: PADDED, payload: padded(255, 254) }]],
    [['HEADERS', { stream: 5, flags: END_HEADERS | PADDED, payload: padded(4, 3) }]],
    [['HEADERS', { stream: 5, flags: both, payload: padded(1, 5) }]],
    [['HEADERS', { stream: 5, flags: both, payload: padded(10, 5) }]],
  ]);
});

cutTest('windows above 2^31 - 1 bytes end what they belong to', (create) => {
  const window = (size: number): Sent => [
    'SETTINGS',
    { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, size]]) },
  ];
  assertConnectionErrors(create, 'FLOW_CONTROL_ERROR', [
    [['WINDOW_UPDATE', { payload: word(maxInt31) }]],
    [['WINDOW_UPDATE', { payload: word(maxInt31 - 65_535 + 1) }]],
    [window(2 ** 31)],
    [window(2 ** 32 - 1)],
    // Added to the window that stream 1 already has (section 6.9.2).
    [['WINDOW_UPDATE', { stream: 1, payload: word(1) }], window(maxInt31)],
  ]);
  assertStreamErrors(create, 'FLOW_CONTROL_ERROR', [
    [headers(5, request), ['WINDOW_UPDATE', { stream: 5, payload: word(maxInt31) }]],
    [headers(5, request), ['WINDOW_UPDATE', { stream: 5, payload: word(maxInt31 - 65_534) }]],
  ]);

  const peer = create();
  const { events } = peer.open(1);
  peer.send('WINDOW_UPDATE', { payload: word(maxInt31 - 65_535) });
  peer.send('WINDOW_UPDATE', { stream: 1, payload: word(maxInt31 - 65_535) });
  assert.deepEqual([peer.frames(), events], [[], []]);
});

cutTest('DATA beyond a window ends what the window belongs to', (create) => {
  assertConnectionErrors(() => create({ connectionWindowSize: 10_000 }), 'FLOW_CONTROL_ERROR', [
    [['DATA', { stream: 1, payload: bytes(10_001) }]],
  ]);
  assertStreamErrors(() => create({ initialWindowSize: 10 }), 'FLOW_CONTROL_ERROR', [
    [headers(5, request), ['DATA', { stream: 5, payload: bytes(11) }]],
    [headers(5, request), ['DATA', { stream: 5, flags: PADDED, payload: bytes(11) }]],
  ]);
});

cutTest('a window that grows by 0 ends what it belongs to', (create) => {
  assertConnectionErrors(create, 'PROTOCOL_ERROR', [
    [['WINDOW_UPDATE', { payload: word(0) }]],
    // The first bit is reserved.
    [['WINDOW_UPDATE', { payload: word(2 ** 31) }]],
  ]);
  assertStreamErrors(create, 'PROTOCOL_ERROR', [
    [headers(5, request), ['WINDOW_UPDATE', { stream: 5, payload: word(0) }]],
  ]);
});

cutTest('frames after the end of a request end their stream', (create) => {
  assertStreamErrors(create, 'STREAM_CLOSED', [
    [headers(5, request, END_STREAM), ['DATA', { stream: 5, payload: 'x' }]],
    [headers(5, request, END_STREAM), ['DATA', { stream: 5, flags: END_STREAM }]],
    [headers(5, request, END_STREAM), headers(5, ['a', 'b'], END_STREAM)],
    [headers(5, request), headers(5, ['a', 'b'], END_STREAM), headers(5, ['a', 'b'], END_STREAM)],
  ]);
});

cutTest('frames for a stream that is over tell its peer so', (create) => {
  const canceled: Sent = ['RST_STREAM', { stream: 5, payload: word(ErrorCode.CANCEL) }];
  // It opens no stream, so it is a connection error.
  assertConnectionErrors(create, 'STREAM_CLOSED', [
    [headers(3, request)],
    [headers(5, request), canceled, headers(5, request)],
  ]);

  const peer = create();
  const { events } = peer.open(5);
  peer.send(...canceled);
  peer.send('WINDOW_UPDATE', { stream: 5, payload: word(1) });
  peer.send('WINDOW_UPDATE', { stream: 3, payload: word(0) });
  peer.send(...canceled);
  const passed = peer.frames();
  peer.send('DATA', { stream: 5, payload: 'x' });

  assert.deepEqual(passed, []);
  assert.deepEqual(
    peer.frames().map(({ type, streamId, payload }) => [type, streamId, payload]),
    [['RST_STREAM', 5, '00000005']],
  );
  assert.deepEqual(events, [`reset ${ErrorCode.CANCEL}`]);
  assert.equal(peer.connection.onlyReceives, false);
});

cutTest('what was on its way to a stream that we reset is passed over', (create) => {
  const peer = create({ connectionWindowSize: 65_535 });
  const { stream, events } = peer.open(1);
  stream.reset(ErrorCode.CANCEL);
  peer.frames();

  for (let round = 0; round < 5; round++) peer.send('DATA', { stream: 1, payload: bytes(10_000) });
  peer.send('DATA', { stream: 1, flags: PADDED, payload: bytes(10_000) });
  peer.send('WINDOW_UPDATE', { stream: 1, payload: word(1) });
  peer.send('PRIORITY', { stream: 1, payload: bytes(5) });
  // Violations as well: the stream is not reset twice.
  peer.send('PRIORITY', { stream: 1, payload: bytes(4) });
  peer.send('PRIORITY', { stream: 1, payload: Buffer.concat([word(1), bytes(1)]) });
  peer.send('HEADERS', { stream: 1, flags: END_HEADERS | END_STREAM, payload: trailer });
  peer.send('RST_STREAM', { stream: 1, payload: word(ErrorCode.CANCEL) });

  // It still counts against the connection window.
  assert.deepEqual(
    peer.frames().map(({ type, streamId, payload }) => [type, streamId, payload]),
    [['WINDOW_UPDATE', 0, word(40_000).toString('hex')]],
  );
  assert.deepEqual(events, []);
  assert.equal(peer.connection.onlyReceives, false);
});

cutTest('PRIORITY that is wrong ends its stream', (create) => {
  const onItself = (stream: number) => Buffer.concat([word(stream), bytes(1)]);
  assertStreamErrors(create, 'FRAME_SIZE_ERROR', [
    [headers(5, request), ['PRIORITY', { stream: 5, payload: bytes(4) }]],
    [headers(5, request), ['PRIORITY', { stream: 5, payload: bytes(6) }]],
  ]);
  assertStreamErrors(create, 'PROTOCOL_ERROR', [
    [headers(5, request), ['PRIORITY', { stream: 5, payload: onItself(5) }]],
    [
      [
        'HEADERS',
        {
          stream: 5,
          flags: END_HEADERS | PRIORITY,
          payload: Buffer.concat([onItself(5), post]),
        },
      ],
    ],
  ]);
  assertConnectionErrors(create, 'PROTOCOL_ERROR', [
    [['PRIORITY', { stream: 5, payload: onItself(5) }]],
  ]);
});

cutTest('what RFC 9113 says to ignore is ignored', (create) => {
  const peer = create();
  peer.open(1);

  // On open, idle and even-numbered streams.
  for (const stream of [1, 2, 99]) peer.send('PRIORITY', { stream, payload: bytes(5) });
  // Unknown types, flags and settings.
  peer.sendRaw(Buffer.from('000001fe00000000630f', 'hex'));
  peer.sendRaw(Buffer.from('0000000aff00000000', 'hex'));
  peer.send('WINDOW_UPDATE', { flags: 0xff, payload: word(1) });
  peer.send('PING', { flags: ACK, payload: bytes(8) });
  peer.send('SETTINGS', { flags: ACK });
  peer.send('GOAWAY', { payload: bytes(20) });

  assert.deepEqual(peer.frames(), []);
  peer.send('PING', { flags: 0xfe, payload: '01234567' });
  peer.send('SETTINGS', { flags: 0xfe, payload: encodeSettings([[0xffff, 1]]) });
  assert.deepEqual(
    peer.frames().map(({ type, flags, payload }) => [type, flags, payload]),
    [
      ['PING', ACK, Buffer.from('01234567').toString('hex')],
      ['SETTINGS', ACK, ''],
    ],
  );
  peer.open(3);
});

cutTest('a malformed request is reset alone, and nobody serves it', (create) => {
  const without = (at: number) => request.toSpliced(at, 2);
  const malformed = [
    ...[0, 2, 4].map(without),
    ...['method', 'scheme', 'path'].map((name) => [...request, `:${name}`, 'x']),
    [...request, ':status', '200'],
    [...request, ':protocol', 'websocket'],
    [...request, 'a', 'b', ':authority', 'x'],
    ['a', 'b', ...request],
    request.with(0, ':Method'),
    // With neither, there would be no tunnel (section 8.5).
    request.with(1, 'CONNECT'),
    [':method', 'CONNECT', ':authority', 'localhost:80'],
    [...request, 'Upper', 'case'],
    ...['\0', '\r', '\n'].flatMap((control) => [
      [...request, 'x', `a${control}b`],
      ...[1, 3, 5].map((at) => request.with(at, `/${control}`)),
      [...request, ':authority', `a${control}`],
    ]),
    ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'].map(
      (name) => [...request, name, 'x'],
    ),
    ...['gzip', 'trailers, deflate', ''].map((value) => [...request, 'te', value]),
    ...['', '+1', '-1', '1,1', '1 1', '0x1', '99999999999999999999'].map((value) => [
      ...request,
      'content-length',
      value,
    ]),
    [...request, 'content-length', '1', 'content-length', '1'],
    [...request, 'content-length', '1', 'content-length', '2'],
  ];
  assertStreamErrors(
    create,
    'PROTOCOL_ERROR',
    malformed.flatMap((fields) => [[headers(5, fields)], [headers(5, fields, END_STREAM)]]),
  );
});

cutTest('malformed trailers end their stream', (create) => {
  const trailers: [string, string][] = [
    [':path', '/'],
    [':status', '200'],
    ['Upper', 'case'],
    ['connection', 'close'],
    ['transfer-encoding', 'chunked'],
    ['te', 'gzip'],
    ['a', 'b\rc'],
    ['a', '\0'],
  ];
  assertStreamErrors(create, 'PROTOCOL_ERROR', [
    ...trailers.map((fields): Wrong => [headers(5, request), headers(5, fields, END_STREAM)]),
    // Trailers without END_STREAM.
    [headers(5, request), headers(5, ['a', 'b'])],
    [headers(5, request), ['DATA', { stream: 5, payload: bytes(0) }], headers(5, request)],
  ]);
});

cutTest('a body that is not as long as content-length says ends its stream', (create) => {
  const promised = (length: number, flags = 0) =>
    headers(5, [...request, 'content-length', `${length}`], flags);
  const data = (payload: string, flags = 0): Sent => ['DATA', { stream: 5, payload, flags }];
  assertStreamErrors(create, 'PROTOCOL_ERROR', [
    // Too long,
    [promised(3), data('four')],
    [promised(3), data('ab'), data('cd')],
    [promised(0), data('x')],
    [promised(3), data('abc'), data('d', END_STREAM)],
    // and too short.
    [promised(1, END_STREAM)],
    [promised(3), data('ab', END_STREAM)],
    [promised(3), data('ab'), data('', END_STREAM)],
    [promised(3), data('ab'), headers(5, ['a', 'b'], END_STREAM)],
  ]);

  const right: Wrong[] = [
    [promised(0, END_STREAM)],
    [promised(0), data('', END_STREAM)],
    [promised(3), data('ab'), data('c', END_STREAM)],
    [promised(3), data('abc'), headers(5, ['a', 'b'], END_STREAM)],
    // Padding does not count.
    [promised(3), data('\u0002abc\0\0', PADDED | END_STREAM)],
  ];
  for (const frames of right) {
    const peer = create();
    for (const sent of frames) peer.send(...sent);
    assert.ok(peer.served[0]?.events.at(-1)?.startsWith('end'), nameOf(frames));
  }
});

cutTest('a header block counts for those after it, whatever becomes of its stream', (create) => {
  const peer = create({ maxConcurrentStreams: 1, maxHeaderListSize: 1000 });
  const open = (stream: number, ...parts: Buffer[]) =>
    peer.send('HEADERS', { stream, flags: END_HEADERS, payload: block(post, ...parts) });
  const { stream } = peer.open(1);

  open(3, insert('x', 'refused'));
  stream.reset(ErrorCode.CANCEL);
  open(1, insert('x', 'reset'));
  open(5, insert('x', 'malformed'), insert('UPPER', 'case'));
  open(7, insert('x', 'large'), ...Array.from({ length: 30 }, () => field(62)));
  peer.served.at(-1)?.stream.reset(ErrorCode.CANCEL);
  open(9, ...[62, 64, 65, 66].map(field));

  assert.deepEqual(
    peer.served.map(({ request: { fields } }) => fields),
    [[], [], ['x', 'large', 'x', 'malformed', 'x', 'reset', 'x', 'refused']],
  );
});
