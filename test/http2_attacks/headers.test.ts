import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { encodeHeaders } from '../../src/engine/http2/hpack/encoder.ts';
import { frameOf } from '../support/http2_peer.ts';
import { type Attacker, attackPlain, flood, greeting } from './attacker.ts';
import { echo, headers, product, type Target } from './targets.ts';
import { startVictim, type Victim } from './victim.ts';

const { END_HEADERS, END_STREAM } = Flag;

const noCalls = {};

for (const target of [echo, product]) {
  const victim = await startVictim(target);
  void suite(`against ${target.name}`, () => attack(victim, target));
}

function attack(victim: Victim, target: Target): void {
  /** `:status: 431` (RFC 6585 section 5), or `grpc-status: 8`. */
  const refused =
    target === echo
      ? `0803${Buffer.from('431').toString('hex')}`
      : encodeHeaders(['grpc-status', '8']).toString('hex');

  /** Sends header blocks three times that the server answers with ENHANCE_YOUR_CALM. */
  async function assertCalmed(bytes: (round: number) => Buffer) {
    await victim.survives(async () => {
      const attacker = attackPlain(victim);
      attacker.write(greeting());
      assert.equal(await flood(victim, attacker, bytes), ErrorCode.ENHANCE_YOUR_CALM);
      return noCalls;
    });
  }

  for (const size of target === echo ? [0, 10, 16_000] : [10]) {
    test(`a CONTINUATION flood of ${size} bytes per frame is ended`, async () => {
      const part = frameOf(FrameType.CONTINUATION, 0, 1, Buffer.alloc(size, 0x84));
      await assertCalmed((round) =>
        round === 0
          ? frameOf(FrameType.HEADERS, 0, 1, target.silent)
          : Buffer.concat([part, part, part]),
      );
    });
  }

  test('a header block of more than a megabyte is ended before it is complete', async () => {
    const part = frameOf(FrameType.CONTINUATION, 0, 1, Buffer.alloc(16_000, 0x84));
    const end = frameOf(FrameType.CONTINUATION, END_HEADERS, 1, Buffer.alloc(16_000, 0x84));
    const parts = Array.from({ length: 66 }, () => part);
    const whole = Buffer.concat([frameOf(FrameType.HEADERS, 0, 1, target.silent), ...parts, end]);
    await victim.survives(async () => {
      for (let peer = 0; peer < 3; peer++) {
        const attacker = attackPlain(victim);
        attacker.write(greeting());
        attacker.write(whole);
        await victim.ask();
        assert.equal(await attacker.cutOff(), ErrorCode.ENHANCE_YOUR_CALM);
      }
      return noCalls;
    });
  });

  /** `a: xxx…`, which fills the dynamic table, and then its index repeatedly. */
  const bomb = (times: number) =>
    Buffer.concat([
      target.silent,
      Buffer.from([0x40, 0x01, 0x61, 0x7f, 0xa1, 0x1e]),
      Buffer.alloc(4000, 'x'),
      Buffer.alloc(times, 0xbe),
    ]);

  const ping = frameOf(FrameType.PING, 0, 0, Buffer.alloc(8));

  test('an HPACK bomb, one entry of 4 KiB 12,000 times, is ended', async () => {
    await assertCalmed((round) => (round < 3 ? ping : headers(1, bomb(12_000), END_STREAM)));
  });

  /** Header lists that exceed the limit, in few bytes. */
  const bombs: Record<string, Buffer> = {
    'an HPACK bomb of one entry of 4 KiB, 250 times': bomb(250),
    'an HPACK bomb out of the static table, 16,000 times': Buffer.concat([
      target.silent,
      Buffer.alloc(16_000, 0x90),
    ]),
    'a list of 5,000 headers without a name and a value': Buffer.concat([
      target.silent,
      Buffer.alloc(15_000),
    ]),
  };

  for (const [name, block] of Object.entries(bombs)) {
    test(`${name} is refused, every time`, async () => {
      await victim.survives(async () => {
        const attacker = attackPlain(victim);
        attacker.write(greeting());
        for (let round = 0; round < 10; round++) {
          const ids = Array.from({ length: 10 }, (_, i) => (round * 10 + i) * 2 + 1);
          attacker.write(Buffer.concat(ids.map((id) => headers(id, block, END_STREAM))));
          await victim.ask();
        }
        await attacker.sees(() => answers(attacker).length === 100);
        const { openStreams } = await victim.stats();
        attacker.socket.destroy();

        assert.ok(answers(attacker).every((payload) => payload.includes(refused)));
        assert.equal(openStreams, 0);
        return target === echo ? noCalls : { RESOURCE_EXHAUSTED: 100 };
      });
    });
  }

  test('zero-length headers (CVE-2019-9516) are malformed, and a flood of them is ended', async () => {
    // As a literal, Huffman-coded, and with incremental indexing.
    for (const field of [
      [0x00, 0x00, 0x00],
      [0x00, 0x80, 0x80],
      [0x40, 0x00, 0x00],
    ]) {
      const block = Buffer.concat([
        target.silent,
        ...Array.from({ length: 100 }, () => Buffer.from(field)),
      ]);
      await assertCalmed((round) => {
        const ids = Array.from({ length: 100 }, (_, i) => (round * 100 + i) * 2 + 1);
        return Buffer.concat(ids.map((id) => headers(id, block)));
      });
    }
  });
}

function answers({ frames }: Attacker): string[] {
  return frames.filter(({ type }) => type === 'HEADERS').map(({ payload }) => payload);
}
