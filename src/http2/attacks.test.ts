import assert from 'node:assert/strict';
import { cutTest } from '../../test/http2_cuts.ts';
import { goAwayCode, ok, type Peer, post, word } from '../../test/http2_peer.ts';
import { ErrorCode } from './errors.ts';
import { Flag } from './frame.ts';

const { END_STREAM, END_HEADERS } = Flag;

/** Does it until the connection is cut off; gives the code it was told and how often it took. */
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
    // grpc-go estimates its bandwidth so.
    ['PING', (peer) => peer.send('PING', { payload: Buffer.alloc(8) })],
    // RFC 9218 section 7.1; browsers send it for each request.
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

  // One was the greeting.
  assertCalmed(result, 1000);
});

cutTest('a CONTINUATION flood is cut off by its frames, and by its bytes', (create) => {
  for (const [size, most] of [
    [0, 40],
    [10, 40],
    [16_000, 6],
  ] as const) {
    const peer = create();
    peer.send('HEADERS', { stream: 1, payload: post });

    const result = untilCutOff(peer, () => {
      peer.send('CONTINUATION', { stream: 1, payload: Buffer.alloc(size, 0x84) });
    });

    assertCalmed(result, most);
    assert.equal(peer.served.length, 0);
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

cutTest('a peer that does not read is cut off when too much waits for it', (create) => {
  const peer = create({ controlFramesPerSecond: 1e9, maxUnreadBytes: 10_000 });

  let rounds = 0;
  while (!peer.connection.isOver && rounds < 100_000) {
    peer.send('PING', { payload: Buffer.alloc(8) });
    rounds++;
  }

  assert.equal(goAwayCode(peer.frames()), ErrorCode.ENHANCE_YOUR_CALM);
  assert.ok(rounds < 700, `took ${rounds} rounds`);
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

cutTest('a header list above the limit is answered 431, the next request as usual', (create) => {
  const peer = create({ maxHeaderListSize: 1000 });
  const field = Buffer.concat([Buffer.from([0x00, 0x01, 0x61, 0x64]), Buffer.alloc(100, 'b')]);
  const block = Buffer.concat([post, ...Array.from({ length: 10 }, () => field)]);

  peer.send('HEADERS', { stream: 1, flags: END_HEADERS | END_STREAM, payload: block });
  const [answer] = peer.frames();
  peer.open(3);

  assert.deepEqual(answer, {
    type: 'HEADERS',
    flags: END_HEADERS | END_STREAM,
    streamId: 1,
    payload: `200803${Buffer.from('431').toString('hex')}`,
  });
  assert.equal(peer.served.length, 1);
});

cutTest('an HPACK bomb is answered 431: one entry of 4 KiB, again and again', (create) => {
  const peer = create();
  const value = Buffer.alloc(4000, 'x');
  const insert = Buffer.concat([Buffer.from([0x40, 0x01, 0x61, 0x7f, 0xa1, 0x1e]), value]);
  const block = Buffer.concat([post, insert, Buffer.alloc(12_000, 0xbe)]);

  peer.send('HEADERS', { stream: 1, flags: END_HEADERS | END_STREAM, payload: block });

  assert.equal(peer.frames()[0]?.payload, `200803${Buffer.from('431').toString('hex')}`);
});

cutTest('a block that is no HPACK ends the connection with COMPRESSION_ERROR', (create) => {
  for (const block of [[0x80], [0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], [0x00, 0x7f], [0xbe]]) {
    const peer = create();

    peer.send('HEADERS', { stream: 1, flags: END_HEADERS, payload: Buffer.from(block) });

    assert.equal(goAwayCode(peer.frames()), ErrorCode.COMPRESSION_ERROR);
  }
});
