import assert from 'node:assert/strict';
import { test } from 'node:test';
import { block, insert, plain } from '../../../test/hpack/blocks.ts';
import { cutTest } from '../../../test/support/http2_cuts.ts';
import {
  createPeer,
  frameOf,
  goAwayCode,
  ok,
  type Peer,
  post,
  word,
} from '../../../test/support/http2_peer.ts';
import { ErrorCode } from './errors.ts';
import { Flag, FrameType } from './frames.ts';
import { unbounded } from '../scheduler.ts';
import { defaultLimits } from '../../../test/support/engine.ts';

const { END_STREAM, END_HEADERS } = Flag;

/** Repeats an attack until the connection ends; returns the error code and the number of rounds. */
function untilCutOff(peer: Peer, attack: (round: number) => void) {
  for (let round = 0; round < 100_000; round++) {
    attack(round);
    if (!peer.connection.isOver) continue;
    const code = goAwayCode(peer.frames());
    return { code, rounds: round + 1, open: peer.connection.openStreams };
  }
  return undefined;
}

function assertCalmed(result: ReturnType<typeof untilCutOff>, most: number): void {
  assert.ok(result, 'was never cut off');
  assert.equal(result.code, ErrorCode.ENHANCE_YOUR_CALM);
  assert.ok(result.rounds <= most, `took ${result.rounds} rounds`);
  assert.equal(result.open, 0);
}

cutTest('rapid reset (CVE-2023-44487) is cut off, and leaves no stream', (create) => {
  const peer = create();

  const result = untilCutOff(peer, (round) => {
    const stream = 2 * round + 1;
    peer.send('HEADERS', { stream, flags: END_HEADERS | END_STREAM, payload: post });
    peer.send('RST_STREAM', { stream, payload: word(ErrorCode.CANCEL) });
  });

  assertCalmed(result, 1001);
});

cutTest('MadeYouReset (CVE-2025-8671): resets that a peer provokes count as its own', (create) => {
  const provocations: ((peer: Peer, stream: number) => void)[] = [
    (peer, stream) => peer.send('WINDOW_UPDATE', { stream, payload: word(0) }),
    (peer, stream) => peer.send('WINDOW_UPDATE', { stream, payload: word(0x7f_ff_ff_ff) }),
    (peer, stream) => peer.send('PRIORITY', { stream, payload: Buffer.alloc(4) }),
    (peer, stream) => peer.send('DATA', { stream, payload: 'after the end' }),
    (peer, stream) => peer.send('HEADERS', { stream, flags: END_HEADERS, payload: post }),
  ];
  for (const provoke of provocations) {
    const peer = create({ resetsPerSecond: 50 });

    const result = untilCutOff(peer, (round) => {
      const stream = 2 * round + 1;
      peer.send('HEADERS', { stream, flags: END_HEADERS | END_STREAM, payload: post });
      provoke(peer, stream);
    });

    assertCalmed(result, 101);
  }
});

cutTest(
  '200 cancels a second, as of many clients behind one proxy, are taken for ever',
  (create) => {
    const peer = create();

    for (let round = 0; round < 4000; round++) {
      const stream = 2 * round + 1;
      peer.send('HEADERS', { stream, flags: END_HEADERS | END_STREAM, payload: post });
      peer.send('RST_STREAM', { stream, payload: word(ErrorCode.CANCEL) });
      peer.clock.now += 5;
    }

    assert.equal(goAwayCode(peer.frames()), undefined);
  },
);

cutTest('a connection on which every other call is cancelled goes on, at any rate', (create) => {
  const peer = create();

  for (let stream = 1; stream < 12_000; stream += 4) {
    peer.open(stream, { endStream: true }).stream.respond(ok, { endStream: true });
    peer.open(stream + 2, { endStream: true });
    peer.send('RST_STREAM', { stream: stream + 2, payload: word(ErrorCode.CANCEL) });
  }

  assert.equal(goAwayCode(peer.frames()), undefined);
});

cutTest('a reset that comes when its call is complete is not counted', (create) => {
  const peer = create();

  peer.open(1, { endStream: true }).stream.respond(ok, { endStream: true });
  for (let round = 0; round < 3000; round++) {
    peer.send('RST_STREAM', { stream: 1, payload: word(ErrorCode.CANCEL) });
  }

  assert.equal(goAwayCode(peer.frames()), undefined);
});

cutTest('a peer may send a control frame for each frame of a response that it reads', (create) => {
  const frames: [string, (peer: Peer) => void][] = [
    // grpc-go estimates its bandwidth with these.
    ['PING', (peer) => peer.send('PING', { payload: Buffer.alloc(8) })],
    // RFC 9218 section 7.1; browsers send it with each request.
    ['PRIORITY_UPDATE', (peer) => peer.sendRaw(Buffer.from([0, 0, 0, 0x10, 0, 0, 0, 0, 0]))],
  ];
  for (const [name, read] of frames) {
    const peer = create();

    for (let stream = 1; stream < 6000; stream += 2) {
      peer.open(stream, { endStream: true }).stream.respond(ok, { endStream: true });
      read(peer);
    }

    assert.equal(goAwayCode(peer.frames()), undefined, name);
  }
});

cutTest('a peer may send an empty DATA frame for each that is not', (create) => {
  const peer = create();
  const { stream } = peer.open(1);

  for (let round = 0; round < 3000; round++) {
    peer.send('DATA', { stream: 1, payload: 'x' });
    peer.send('DATA', { stream: 1 });
    stream.consume(1);
  }

  assert.equal(goAwayCode(peer.frames()), undefined);
});

cutTest('responses do not allow for SETTINGS, which move the windows of all streams', (create) => {
  const peer = create();

  const result = untilCutOff(peer, (round) => {
    peer.open(2 * round + 1, { endStream: true }).stream.respond(ok, { endStream: true });
    peer.send('SETTINGS');
  });

  // One of them was the initial SETTINGS.
  assertCalmed(result, 1000);
});

cutTest('a CONTINUATION flood is cut off by its frames, and by its bytes', (create) => {
  for (const [size, most] of [
    [0, 130],
    [10, 130],
    [16_000, 66],
  ] as const) {
    const peer = create();
    peer.send('HEADERS', { stream: 1, payload: post });

    const result = untilCutOff(peer, () => {
      peer.send('CONTINUATION', { stream: 1, payload: Buffer.alloc(size, 0x84) });
    });

    assertCalmed(result, most);
    assert.equal(peer.served.length, 0);
    assert.ok(peer.account.bytes < 20_000);
  }
});

cutTest('floods of frames that ask for nothing are cut off', (create) => {
  const floods: [string, (peer: Peer) => void][] = [
    ['PING', (peer) => peer.send('PING', { payload: Buffer.alloc(8) })],
    ['PING answers', (peer) => peer.send('PING', { flags: Flag.ACK, payload: Buffer.alloc(8) })],
    ['SETTINGS', (peer) => peer.send('SETTINGS')],
    ['SETTINGS answers', (peer) => peer.send('SETTINGS', { flags: Flag.ACK })],
    ['PRIORITY', (peer) => peer.send('PRIORITY', { stream: 7, payload: Buffer.alloc(5) })],
    ['empty DATA', (peer) => peer.send('DATA', { stream: 1 })],
    ['padding', (peer) => peer.send('DATA', { stream: 1, flags: 8, payload: Buffer.from([1, 0]) })],
    ['GOAWAY', (peer) => peer.send('GOAWAY', { payload: Buffer.alloc(8) })],
    ['unknown', (peer) => peer.sendRaw(Buffer.from([0, 0, 0, 0xfe, 0, 0, 0, 0, 0]))],
  ];
  for (const [name, flood] of floods) {
    const peer = create();
    peer.open(1);

    const result = untilCutOff(peer, () => flood(peer));

    assert.ok(result, name);
    assertCalmed(result, 1001);
  }
});

cutTest('of 10,000 streams those beyond the limit are refused, and the others go on', (create) => {
  const peer = create({ maxConcurrentStreams: 9500 });

  for (let stream = 1; stream < 20_000; stream += 2) {
    peer.send('HEADERS', { stream, flags: END_HEADERS, payload: post });
  }

  const refused = peer.frames().filter(({ type }) => type === 'RST_STREAM');
  assert.equal(refused.length, 500);
  assert.ok(refused.every(({ payload }) => payload === word(7).toString('hex')));
  assert.equal(peer.connection.openStreams, 9500);
});

/** Fields of 132 bytes each, as RFC 9113 section 6.5.2 counts them, in a block of 104. */
const fieldsOf132 = (count: number) =>
  Array.from({ length: count }, () => plain('a', 'b'.repeat(99)));

/** Sends the header block of a request in frames of the maximum size. */
function sendBlock(peer: Peer, stream: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; at += 16_384) {
    const type = at === 0 ? 'HEADERS' : 'CONTINUATION';
    const last = at + 16_384 >= bytes.length ? END_HEADERS : 0;
    const flags = last | (at === 0 ? END_STREAM : 0);
    peer.send(type, { stream, flags, payload: bytes.subarray(at, at + 16_384) });
  }
}

const grpc = plain('content-type', ' application/grpc');

/** Of 20 KiB to 900 KiB, with the identifying field before or after the excess. */
const oversizedBlocks = [160, 1600, 7000].flatMap((count) => [
  block(post, grpc, ...fieldsOf132(count)),
  block(post, ...fieldsOf132(count), grpc),
]);

cutTest(
  'of a request whose header list is above the limit little is known, and nothing kept',
  (create) => {
    for (const oversizedBlock of oversizedBlocks) {
      const peer = create();

      sendBlock(peer, 1, oversizedBlock);
      const { bytes: heldBytes } = peer.account;
      peer.open(3);

      assert.deepEqual(peer.frames(), []);
      const [oversized, next] = peer.served.map(({ request }) => request);
      assert.deepEqual(oversized, {
        method: 'POST',
        path: '/',
        scheme: '',
        authority: '',
        fields: ['content-type', 'application/grpc'],
        contentLength: undefined,
        overLimit: defaultLimits.maxHeaderListSize,
      });
      assert.equal(next?.overLimit, undefined);
      assert.ok(heldBytes < 20_000, `${heldBytes} bytes`);
    }
  },
);

const above1MiB = [
  block(post, ...fieldsOf132(8000)),
  block(post, ...fieldsOf132(16_000)),
  block(post, insert('a', 'x'.repeat(4000)), Buffer.alloc(12_000, 0xbe)),
];

cutTest('a header list or a header block above 1 MiB ends the connection', (create) => {
  for (const bytes of above1MiB) {
    const peer = create();

    sendBlock(peer, 1, bytes);

    assert.equal(goAwayCode(peer.frames()), ErrorCode.ENHANCE_YOUR_CALM);
    assert.equal(peer.served.length, 0);
  }
});

cutTest('a header block that has not ended counts as what is held', (create) => {
  const peer = create();
  const before = peer.account.bytes;

  peer.send('HEADERS', { stream: 1, payload: post });
  for (let i = 0; i < 10; i++) {
    peer.send('CONTINUATION', { stream: 1, payload: Buffer.alloc(16_000, 0x84) });
  }

  assert.ok(peer.account.bytes - before >= 160_000);
});

cutTest('trailers above the limit end the request, and whoever serves it is told', (create) => {
  const peer = create({ maxHeaderListSize: 1000 });
  const { events } = peer.open(1);

  const trailers = block(...fieldsOf132(10));
  peer.send('HEADERS', { stream: 1, flags: END_HEADERS | END_STREAM, payload: trailers });

  assert.deepEqual(events, ['end (above 1000)']);
  assert.deepEqual(peer.frames(), []);
});

cutTest('a block that is no HPACK ends the connection with COMPRESSION_ERROR', (create) => {
  for (const bytes of [[0x80], [0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], [0x00, 0x7f], [0xbe]]) {
    const peer = create();

    peer.send('HEADERS', { stream: 1, flags: END_HEADERS, payload: Buffer.from(bytes) });

    assert.equal(goAwayCode(peer.frames()), ErrorCode.COMPRESSION_ERROR);
  }
});

/** The rounds that the default limit allows: a burst, and one more. */
const manyFragments = 2 * defaultLimits.fragmentsPerSecond + 1;

test('frames in pieces of one byte are cut off', () => {
  const peer = createPeer();
  peer.send('HEADERS', { stream: 1, flags: END_HEADERS, payload: post });
  const data = frameOf(FrameType.DATA, 0, 1, Buffer.alloc(16_384));

  const result = untilCutOff(peer, (round) => {
    peer.connection.receive(data.subarray(round, round + 1));
  });

  assertCalmed(result, manyFragments);
});

test('each frame may arrive in three pieces', () => {
  const peer = createPeer();
  peer.send('HEADERS', { stream: 1, flags: END_HEADERS, payload: post });
  const data = frameOf(FrameType.DATA, 0, 1, Buffer.alloc(20));

  for (let round = 0; round < 10 * manyFragments; round++) {
    for (const [from, to] of [
      [0, 9],
      [9, 14],
      [14, 29],
    ]) {
      peer.connection.receive(data.subarray(from, to));
    }
  }

  assert.equal(goAwayCode(peer.frames()), undefined);
  assert.equal(peer.connection.openStreams, 1);
});

test('whole small frames are no pieces, even while input is deferred', () => {
  const flow = { ...unbounded, isSpent: true };
  const peer = createPeer({}, { flow });
  const window = frameOf(FrameType.WINDOW_UPDATE, 0, 0, word(1));

  for (let round = 0; round < 10 * manyFragments; round++) peer.connection.receive(window);

  assert.equal(peer.connection.isOver, false);
});
