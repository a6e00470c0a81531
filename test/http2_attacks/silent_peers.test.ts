import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { suite, test } from 'node:test';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { Flag, FrameType, preface } from '../../src/engine/http2/frames.ts';
import { frameOf, type Seen, word } from '../support/http2_peer.ts';
import { type Attacker, attackPlain, greeting } from './attacker.ts';
import { untilServer } from './shedding.ts';
import { echo, headers, product, type Target } from './targets.ts';
import { startVictim, type Victim } from './victim.ts';

const nothing = Buffer.alloc(0);
const ping = '0000000000000000';
const pingAnswer = frameOf(FrameType.PING, Flag.ACK, 0, Buffer.alloc(8));

for (const target of [echo, product]) {
  const victim = await startVictim(target);
  void suite(`against ${target.name}`, () => attack(victim, target));
}

function attack(victim: Victim, target: Target): void {
  // The result does not depend on the size.
  const size = target === echo ? 1000 : 200;

  /** Opens connections in batches, and sends bytes on each. */
  async function crowd(said: Buffer): Promise<Attacker[]> {
    const attackers: Attacker[] = [];
    while (attackers.length < size) {
      const more = Array.from({ length: Math.min(100, size - attackers.length) }, () =>
        attackPlain(victim),
      );
      for (const { write } of more) write(said);
      // The server's SETTINGS, WINDOW_UPDATE and ACK after a complete preface; nothing before.
      const answers = said.length > preface.length ? 3 : 0;
      for (const { sees } of more) await sees(({ length }) => length === answers);
      attackers.push(...more);
      await untilServer(victim, ({ openConnections }) => openConnections > attackers.length);
    }
    return attackers;
  }

  test(`${size} silent connections end with PROTOCOL_ERROR after 10 s`, async () => {
    await victim.survives(async () => {
      const attackers = await crowd(nothing);
      const { openConnections } = await victim.pass(9999);
      await victim.pass(1);

      assert.equal(openConnections, size + 1);
      for (const { cutOff } of attackers) assert.equal(await cutOff(), ErrorCode.PROTOCOL_ERROR);
    });
  });

  test(`${size} half-open connections get a PING after 60 s, and are closed 20 s later`, async () => {
    await victim.survives(async () => {
      const attackers = await crowd(greeting());
      await victim.pass(60_000);
      for (const { sees } of attackers) await sees(wasAsked);
      const { openConnections } = await victim.pass(19_999);
      await victim.pass(1);

      assert.equal(openConnections, size + 1);
      for (const { cutOff } of attackers) assert.equal(await cutOff(), undefined);
    });
  });

  test('a preface sent byte by byte gets no more time', async () => {
    await victim.survives(async () => {
      const attacker = attackPlain(victim);
      for (const byte of preface.subarray(0, 9)) {
        attacker.write(Buffer.from([byte]));
        await victim.pass(1000);
      }
      await victim.pass(1000);

      assert.equal(await attacker.cutOff(), ErrorCode.PROTOCOL_ERROR);
    });
  });

  test('a connection without streams gets GOAWAY after 300 s, though it answers every PING', async () => {
    await victim.survives(async () => {
      const attacker = attackPlain(victim);
      attacker.write(greeting());
      await attacker.sees(({ length }) => length === 3);
      for (let minute = 1; minute < 5; minute++) {
        await victim.pass(60_000);
        await attacker.sees(wasAsked);
        attacker.frames.length = 0;
        attacker.write(pingAnswer);
      }
      const { openConnections } = await victim.pass(59_999);
      await victim.pass(1);
      await victim.pass(1000);

      assert.equal(openConnections, 2);
      assert.equal(await attacker.cutOff(), ErrorCode.NO_ERROR);
    });
  });

  /** Advances the clock in steps of 30 s, while a client sends PINGs. */
  async function passWithPings(attacker: Attacker, steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      attacker.frames.length = 0;
      attacker.write(frameOf(FrameType.PING, 0, 0, Buffer.alloc(8, step)));
      await attacker.sees((frames) => frames.some(({ type }) => type === 'PING'));
      await victim.pass(30_000);
    }
  }

  test(
    'a connection without streams gets GOAWAY after 300 s, though its client sends PINGs',
    { timeout: 30_000 },
    async () => {
      await victim.survives(async () => {
        const attacker = attackPlain(victim);
        attacker.write(greeting());
        await passWithPings(attacker, 10);
        await victim.pass(1000);

        assert.equal(await attacker.cutOff(), ErrorCode.NO_ERROR);
      });
    },
  );

  test('a call, however short, keeps a connection for another 300 s', async () => {
    await victim.survives(async () => {
      const attacker = attackPlain(victim);
      attacker.write(greeting());
      await passWithPings(attacker, 8);
      attacker.write(headers(1, target.silent));
      attacker.write(frameOf(FrameType.RST_STREAM, 0, 1, word(ErrorCode.CANCEL)));
      await passWithPings(attacker, 9);
      const { openConnections } = await victim.stats();
      await passWithPings(attacker, 1);
      await victim.pass(1000);

      assert.equal(openConnections, 2);
      assert.equal(await attacker.cutOff(), ErrorCode.NO_ERROR);
      return { CANCELLED: 1 };
    });
  });

  test('a peer that continues after GOAWAY with an error is closed a second later', async () => {
    await victim.survives(async () => {
      const socket = connect({ port: victim.plain, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => {}).resume();
      socket.write('no preface');
      await once(socket, 'end');
      for (let round = 0; round < 10; round++) {
        socket.write(Buffer.alloc(100_000));
        await victim.ask();
      }
      const lingering = await victim.stats();
      await victim.pass(1000);
      const dropped = await victim.stats();
      socket.destroy();

      assert.equal(lingering.openConnections, 2);
      assert.equal(dropped.openConnections, 1);
    });
  });

  test('a peer that floods and reads nothing is closed a second after GOAWAY', async () => {
    const pings = Array.from({ length: 100 }, () => frameOf(FrameType.PING, 0, 0, Buffer.alloc(8)));
    await victim.survives(async () => {
      const attacker = attackPlain(victim);
      attacker.write(greeting());
      attacker.socket.pause();
      for (let round = 0; round < 15; round++) {
        attacker.write(Buffer.concat(pings));
        await victim.ask();
      }
      attacker.socket.resume();

      assert.equal(await attacker.cutOff(), ErrorCode.ENHANCE_YOUR_CALM);
    });
  });
}

function wasAsked(frames: readonly Seen[]): boolean {
  return frames.some(({ type, payload }) => type === 'PING' && payload === ping);
}
