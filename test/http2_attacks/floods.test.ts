import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { encodeSettings, SettingId } from '../../src/engine/http2/settings.ts';
import { frameOf, type Seen, word } from '../support/http2_peer.ts';
import { type Attacker, attackPlain, attackTls, flood, greeting } from './attacker.ts';
import { untilServer } from './shedding.ts';
import { echo, headers, product, type Target } from './targets.ts';
import { startVictim, type Victim } from './victim.ts';

const { ACK, END_STREAM, PADDED } = Flag;
const none = Buffer.alloc(0);
const eight = Buffer.alloc(8);
const malformed = 'a malformed request';

for (const target of [echo, product]) {
  const victim = await startVictim(target);
  void suite(`against ${target.name}`, () => attack(victim, target));
}

function attack(victim: Victim, target: Target): void {
  /** Never answered, so its stream stays open until it is reset. */
  const { silent } = target;
  const openAndEnd = (id: number) => headers(id, silent, END_STREAM);
  const grow = (id: number, increment: number) =>
    frameOf(FrameType.WINDOW_UPDATE, 0, id, word(increment));
  const priority = (id: number, payload: Buffer) => frameOf(FrameType.PRIORITY, 0, id, payload);

  /**
   * Floods three times until the server ends the connection with ENHANCE_YOUR_CALM. By default each accepted stream
   * is a call: the last is cut with the connection, and those before have ended with `code`.
   */
  async function assertCalmed(
    bytes: (round: number) => Buffer,
    { connect = attackPlain, areCalls = true, code = 'CANCELLED' } = {},
  ) {
    await victim.survives(async () => {
      const attacker: Attacker = connect(victim);
      attacker.write(greeting());
      assert.equal(await flood(victim, attacker, bytes), ErrorCode.ENHANCE_YOUR_CALM);
      return areCalls ? { [code]: attacker.taken() - 1, UNAVAILABLE: 1 } : {};
    });
  }

  /** A hundred streams at a time, each with these frames. */
  function hundredStreams(frames: (id: number) => Buffer[]) {
    return (round: number): Buffer => {
      const ids = Array.from({ length: 100 }, (_, i) => (round * 100 + i) * 2 + 1);
      return Buffer.concat(ids.flatMap(frames));
    };
  }

  /** An open stream, and then this frame a hundred times at a time. */
  function onOneStream(frame: Buffer) {
    const hundred = Buffer.concat(Array.from({ length: 100 }, () => frame));
    return (round: number): Buffer =>
      round === 0 ? Buffer.concat([headers(1, silent), hundred]) : hundred;
  }

  // A slow reader sends many of them, and they cost no answer, so they are not a flood.
  test('100,000 WINDOW_UPDATE of 1 are accepted, keep nothing and delay nobody', async () => {
    const pair = Buffer.concat([grow(0, 1), grow(1, 1)]);
    const many = Buffer.concat(Array.from({ length: 2500 }, () => pair));
    await victim.survives(async () => {
      const attacker = attackPlain(victim);
      attacker.write(Buffer.concat([greeting(0), target.sized(1, 100_000)]));
      for (let round = 0; round < 20; round++) {
        attacker.write(many);
        await victim.ask();
      }
      const sent = ({ type, streamId }: Seen) => type === 'DATA' && streamId === 1;
      await attacker.sees((frames) => {
        const bytes = frames.filter(sent).reduce((sum, { payload }) => sum + payload.length / 2, 0);
        return bytes === 50_000;
      });
      attacker.socket.destroy();
      return { CANCELLED: 1 };
    });
  });

  const rapidReset = (id: number) => [
    openAndEnd(id),
    frameOf(FrameType.RST_STREAM, 0, id, word(ErrorCode.CANCEL)),
  ];

  test('rapid reset (CVE-2023-44487) ends with ENHANCE_YOUR_CALM', async () => {
    await assertCalmed(hundredStreams(rapidReset));
  });

  test('rapid reset over TLS ends with ENHANCE_YOUR_CALM', async () => {
    const connect = (victim: Victim) => attackTls(victim, ['h2']);
    await assertCalmed(hundredStreams(rapidReset), { connect });
  });

  /** Frames that make the server reset a stream, at no more cost to the peer than its own RST_STREAM. */
  const provocations: Record<string, (id: number) => Buffer[]> = {
    'WINDOW_UPDATE of 0': (id) => [openAndEnd(id), grow(id, 0)],
    'a window above 2^31 - 1': (id) => [openAndEnd(id), grow(id, 0x7f_ff_ff_ff)],
    'PRIORITY of a wrong length': (id) => [openAndEnd(id), priority(id, Buffer.alloc(4))],
    'a stream that depends on itself': (id) => [
      openAndEnd(id),
      priority(id, Buffer.from([...word(id), 0])),
    ],
    'DATA after the end': (id) => [openAndEnd(id), frameOf(FrameType.DATA, 0, id, eight)],
    'HEADERS after the end': (id) => [openAndEnd(id), openAndEnd(id)],
    // CVE-2019-9514.
    [malformed]: (id) => [headers(id, Buffer.from([0x83]))],
  };

  for (const [name, frames] of Object.entries(provocations)) {
    test(`MadeYouReset (CVE-2025-8671) by ${name} ends with ENHANCE_YOUR_CALM`, async () => {
      const areCalls = name !== malformed;
      await assertCalmed(hundredStreams(frames), { areCalls, code: 'INTERNAL' });
    });
  }

  /** Frames without content. */
  const idleFrames: Record<string, Buffer> = {
    PING: frameOf(FrameType.PING, 0, 0, eight),
    SETTINGS: frameOf(FrameType.SETTINGS, 0, 0, none),
    PRIORITY: priority(7, Buffer.alloc(5)),
    'empty DATA': frameOf(FrameType.DATA, 0, 1, none),
  };
  const moreIdleFrames: Record<string, Buffer> = {
    'PING answers': frameOf(FrameType.PING, ACK, 0, eight),
    'SETTINGS answers': frameOf(FrameType.SETTINGS, ACK, 0, none),
    'DATA that is padding alone': frameOf(FrameType.DATA, PADDED, 1, Buffer.from([1, 0])),
    GOAWAY: frameOf(FrameType.GOAWAY, 0, 0, eight),
    'unknown frames': frameOf(0xfe, 0, 0, none),
  };

  const idle = target === echo ? { ...idleFrames, ...moreIdleFrames } : idleFrames;
  for (const [name, frame] of Object.entries(idle)) {
    test(`a flood of ${name} ends with ENHANCE_YOUR_CALM`, async () => {
      await assertCalmed(onOneStream(frame));
    });
  }

  test('a data dribble by SETTINGS, one byte more for every stream, is ended', async () => {
    await victim.survives(async () => {
      const attacker = attackPlain(victim);
      attacker.write(greeting(0));
      const code = await flood(victim, attacker, (round) => {
        const settings = Array.from({ length: 100 }, (_, i) =>
          encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, round * 100 + i]]),
        );
        const frames = settings.map((payload) => frameOf(FrameType.SETTINGS, 0, 0, payload));
        return Buffer.concat([target.sized(2 * round + 1, 20_000), ...frames]);
      });
      assert.equal(code, ErrorCode.ENHANCE_YOUR_CALM);
      // None of the responses was complete.
      return { UNAVAILABLE: attacker.taken() };
    });
  });

  test('a data dribble by WINDOW_UPDATE (CVE-2019-9511) sends no more than it receives', async () => {
    const streams = Array.from({ length: 100 }, (_, i) => 2 * i + 1);
    const grown = Buffer.concat(streams.map((id) => grow(id, 1)));
    await victim.survives(async () => {
      const attacker = attackPlain(victim);
      attacker.write(greeting(0));
      attacker.write(Buffer.concat(streams.map((id) => target.sized(id, 1000))));
      for (let round = 0; round < 10; round++) {
        attacker.write(grown);
        await victim.ask();
      }
      const { openStreams } = await victim.stats();
      attacker.socket.destroy();

      assert.equal(openStreams, 100);
      assert.ok(attacker.socket.bytesRead < attacker.socket.bytesWritten);
      return { CANCELLED: 100 };
    });
  });

  test('of 10,000 streams at once a thousand are open, and too many above that end the connection', async () => {
    await victim.survives(async () => {
      const attacker = attackPlain(victim);
      attacker.write(greeting());
      const open = hundredStreams((id) => [headers(id, silent)]);
      for (let round = 0; round < 15; round++) attacker.write(open(round));
      await attacker.sees((frames) => frames.some(({ streamId }) => streamId === 2999));
      // Streams of the attack before count until their calls have been told.
      const { openStreams } = await untilServer(victim, (now) => now.openStreams <= 1000);
      const code = await flood(victim, attacker, (round) => open(round + 15));

      assert.equal(openStreams, 1000);
      assert.equal(code, ErrorCode.ENHANCE_YOUR_CALM);
      const refused = attacker.frames.filter(({ type }) => type === 'RST_STREAM');
      assert.equal(refused.length, 1000);
      assert.ok(refused.every(({ payload }) => payload === '00000007'));
      return { UNAVAILABLE: 1000 };
    });
  });
}
