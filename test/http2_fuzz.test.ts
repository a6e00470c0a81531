import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownAccount } from './support/account.ts';
import { Connection } from '../src/engine/http2/connection.ts';
import { frameHeaderLength, partCost, preface } from '../src/engine/http2/frames.ts';
import { encodeHeaders } from '../src/engine/http2/hpack/encoder.ts';
import type { Stream, StreamEvents } from '../src/engine/http2/stream.ts';
import { createRandom, type Random } from './hpack/random.ts';
import { createFuzzClient, createIdleShare } from './support/http2_fuzz_client.ts';
import { ok, receiveOnce, trailer } from './support/http2_peer.ts';
import { usedMemory } from './support/memory.ts';
import { defaultLimits } from './support/engine.ts';

/** `FUZZ_SEED=… FUZZ_SESSIONS=1` repeats a failure. */
const seed = Number(process.env['FUZZ_SEED'] ?? Math.trunc(Date.now() / 1000));
const sessions = Number(process.env['FUZZ_SESSIONS'] ?? 900);
/** The sessions after which all code is compiled, and all caches are filled. */
const warmUp = 300;
/** The allowed growth of memory in bytes. */
const maxGrowth = 1024 * 1024;
const limits = { ...defaultLimits, maxConcurrentStreams: 20, streamWindowSize: 20_000 };
const greeting = Buffer.concat([preface, Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]);
const continueBlock = encodeHeaders([':status', '100']);
const largeBody = Buffer.alloc(100_000);
/** More than a frame. */
const largeBlock = encodeHeaders([':status', '200', 'x', '~'.repeat(20_000)]);

/** A server that responds in random ways, at once or later. */
function createFuzzServer({ oneIn, pick }: Random) {
  const later: (() => void)[] = [];
  const serve = (stream: Stream): StreamEvents => {
    const act = () => {
      if (oneIn(5)) stream.respond(continueBlock);
      stream.respond(oneIn(20) ? largeBlock : ok, { endStream: oneIn(10) });
      stream.write(largeBody.subarray(0, pick([0, 10, 1000, 100_000])));
      if (!oneIn(3)) stream.end(oneIn(2) ? trailer : undefined);
      else if (oneIn(3)) stream.reset(8);
      if (oneIn(5)) stream.abandon(oneIn(2) ? trailer : undefined);
    };
    let state: 'open' | 'ended' | 'over' = 'open';
    let isSent = false;
    if (oneIn(2)) act();
    else later.push(act);
    return {
      data(bytes) {
        assert.equal(state, 'open');
        if (oneIn(3)) later.push(() => stream.consume(bytes.length));
        else stream.consume(bytes.length);
      },
      end() {
        assert.equal(state, 'open');
        state = 'ended';
      },
      reset() {
        assert.notEqual(state, 'over');
        assert.equal(isSent, false);
        state = 'over';
      },
      failed() {
        assert.notEqual(state, 'over');
        assert.equal(isSent, false);
        state = 'over';
      },
      expire: () => stream.abandon(),
      sent() {
        assert.equal(isSent, false);
        assert.notEqual(state, 'over');
        isSent = true;
      },
      drain() {
        if (oneIn(2)) stream.write(Buffer.alloc(10));
      },
    };
  };
  return { serve, later };
}

/** Plays one session on a connection; throws on failure. */
function play(from: number): void {
  const random = createRandom(from);
  const { below, oneIn, pick } = random;
  const { accounts, account, of } = ownAccount({ bytes: pick([10_000, 1e6]) });
  const { serve, later } = createFuzzServer(random);
  const connection = new Connection({
    limits: { ...limits, maxUnreadBytes: pick([2000, defaultLimits.maxUnreadBytes]) },
    account,
    serve,
    wake() {},
    now: () => 0,
  });
  of(connection);
  const share = createIdleShare(limits);
  const { table } = share;
  const wrongOneIn = pick([0, 30, 300]);
  const client = createFuzzClient({ random, table, wrongOneIn });
  let last = 0;
  let idle = 0;

  say(greeting);
  for (let round = 0; round < 300 && !connection.isOver; round++) {
    say(client.say());
    if (oneIn(3)) later.shift()?.();
    if (oneIn(2)) connection.take({ room: !oneIn(3) });
    if (oneIn(2000)) connection.shutdown();
    if (oneIn(2000)) connection.expire();
    if (oneIn(100)) accounts.tick(0);
    assert.ok(connection.openStreams <= limits.maxConcurrentStreams);
  }

  for (const act of later) act();
  for (const bytes of client.leave()) if (!connection.isOver) say(bytes);
  connection.take({ room: true });
  const wasOver = connection.isOver;
  // An invalid byte may have opened a stream that the client does not know.
  if (!wasOver && wrongOneIn === 0) assertHeld();
  connection.lost();
  connection.take({ room: true });
  assertHeld();

  function say(bytes: Buffer): void {
    const at = below(bytes.length);
    const parts = [bytes.subarray(0, at), bytes.subarray(at)];
    for (const part of parts) receiveOnce(connection, part);
    last = bytes.length;
    idle = share.heldBytes;
    try {
      // The buffer of an incomplete frame grows with each part.
      for (const part of parts) share.read(part);
    } catch (error) {
      // The position in the input where the connection failed.
      if (!connection.isOver) throw error;
    }
  }

  function assertHeld(): void {
    assert.equal(connection.openStreams, 0);
    // It remembers some of the reset streams.
    connection.forget();
    share.forget();
    connection.count();
    const held = account.bytes;
    if (!wasOver) assert.equal(held, share.heldBytes);
    else {
      // Each of the last frames may be a part of a header block.
      const parts = Math.ceil(last / frameHeaderLength) * partCost;
      assert.ok(held <= Math.max(idle, share.heldBytes) + last + parts, `${held} bytes`);
    }
  }
}

test('a connection survives random frames, and keeps nothing of them', async () => {
  let before = 0;
  for (let session = 0; session < sessions; session++) {
    if (session === warmUp) before = await usedMemory();
    try {
      play(seed + session);
    } catch (cause) {
      assert.fail(new Error(`FUZZ_SEED=${seed + session} FUZZ_SESSIONS=1`, { cause }));
    }
  }
  if (sessions <= warmUp) return;

  const grown = (await usedMemory()) - before;
  assert.ok(grown < maxGrowth, `grown by ${grown} bytes`);
});

test('a connection sends the same output however its input is split', () => {
  const random = createRandom(seed);
  const share = createIdleShare(limits);
  share.read(greeting);
  const client = createFuzzClient({ random, table: share.table, wrongOneIn: 0 });
  const parts = Array.from({ length: 60 }, () => {
    const bytes = client.say();
    share.read(bytes);
    return bytes;
  });
  const input = Buffer.concat([greeting, ...parts]);
  const output = (pieces: readonly Buffer[]) => {
    const { serve } = createFuzzServer(createRandom(seed));
    const connection = new Connection({ limits, serve, wake() {}, now: () => 0 });
    for (const piece of pieces) receiveOnce(connection, piece);
    return Buffer.concat(connection.take({ room: true }));
  };
  const whole = output([input]);

  for (let at = 0; at <= input.length; at += at < 4096 ? 1 : 1 + random.below(input.length / 500)) {
    const cut = output([input.subarray(0, at), input.subarray(at)]);
    assert.ok(cut.equals(whole), `FUZZ_SEED=${seed}, cut at ${at}`);
  }
});
