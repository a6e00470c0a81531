import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { frameOf, type Seen, word } from '../support/http2_peer.ts';
import { type Attacker, attackPlain, greeting, ids } from './attacker.ts';
import {
  calmed,
  leave,
  maxBufferedBytes,
  maxBuffered,
  refused,
  untilServer,
  untilShed,
} from './shedding.ts';
import { echo, headers, request } from './targets.ts';
import { startVictim } from './victim.ts';

const megabyte = 1024 * 1024;
const maxInt31 = 0x7f_ff_ff_ff;
const victim = await startVictim(echo, { maxBufferedBytes });

const noWindow = greeting(0);
/** The largest windows, of the connection and of each stream. */
const allWindows = Buffer.concat([
  greeting(maxInt31),
  frameOf(FrameType.WINDOW_UPDATE, 0, 0, word(maxInt31 - 65_535)),
]);

/** Opens connections that each request so many responses of a megabyte. */
function askForMuch(connections: number, streams: number, hello: Buffer): Attacker[] {
  return Array.from({ length: connections }, () => {
    const attacker = attackPlain(victim);
    attacker.write(hello);
    for (const id of ids(streams)) attacker.write(headers(id, request('GET', '/1000000')));
    return attacker;
  });
}

for (const [connections, streams] of [
  [1, 40],
  [8, 5],
] as const) {
  test(`streams with closed windows, ${streams} on ${connections} connection(s), are refused, or reset for what they hold`, async () => {
    await victim.survives(async () => {
      const attackers = askForMuch(connections, streams, noWindow);
      // Those that are paused are not either.
      const { bufferedBytes } = await untilServer(
        victim,
        (stats) =>
          stats.bufferedBytes > maxBufferedBytes && calmed(attackers) + refused(attackers) > 0,
      );
      const after = await untilShed(victim);
      await untilServer(victim, () => calmed(attackers) > 0);
      await leave(victim, attackers);

      // Two per connection, or its last one, may have come at once.
      const most = 1.25 * maxBufferedBytes + connections * 2 * 1_010_000;
      assert.ok(bufferedBytes < most, `${bufferedBytes} bytes`);
      assert.ok(after.openStreams <= 4 + 2 * connections, `${after.openStreams} streams`);
      assert.ok(after.bufferedBytes > 2 * megabyte, `${after.bufferedBytes} bytes`);
      assert.ok(calmed(attackers) + refused(attackers) <= 40 - after.openStreams);
    });
  });
}

test('responses to a peer that grants every window and reads nothing stay within the limit', async () => {
  await victim.survives(async () => {
    const [attacker] = askForMuch(1, 0, allWindows);
    assert.ok(attacker);
    attacker.socket.pause();
    const asked = 100;
    let most = 0;
    for (const id of ids(asked)) {
      attacker.write(headers(id, request('GET', '/1000000'), Flag.END_STREAM));
      await victim.ask();
      most = Math.max(most, (await victim.stats()).bufferedBytes);
    }
    // Some are evicted, which makes room for others.
    for (let second = 0; second < 3; second++) await victim.pass(1000);
    most = Math.max(most, (await victim.stats()).bufferedBytes);
    attacker.socket.resume();
    // The connection is read from again as soon as it has read.
    const isWhole = ({ type, flags }: Seen) => type === 'DATA' && (flags & Flag.END_STREAM) !== 0;
    const ended = (frames: readonly Seen[]) => frames.filter(isWhole).length;
    await attacker.sees(
      (frames) => ended(frames) + calmed([attacker]) + refused([attacker]) === asked,
    );
    await leave(victim, [attacker]);

    // One may have been started when only a part of it fit.
    assert.ok(most < 1.25 * maxBufferedBytes + 1_010_000, `${most} bytes`);
    assert.ok(most > 2 * megabyte, `${most} bytes`);
  });
});

test('streams that exceed their windows are reset with FLOW_CONTROL_ERROR', async () => {
  const data = ids(20).map((id) => frameOf(FrameType.DATA, 0, id, Buffer.alloc(16_384)));
  await victim.survives(async () => {
    const attacker = attackPlain(victim);
    attacker.write(noWindow);
    for (const id of ids(20)) attacker.write(headers(id, request('POST', '/silent')));
    for (let round = 0; round < 3; round++) {
      attacker.write(Buffer.concat(data));
      await victim.ask();
    }
    const { bufferedBytes } = await untilServer(
      victim,
      (stats) => stats.bufferedBytes >= 20 * 3 * 16_384,
    );
    attacker.write(Buffer.concat(data));

    const tooMuch = Buffer.from([0, 0, 0, ErrorCode.FLOW_CONTROL_ERROR]).toString('hex');
    const resets = ({ type, payload }: Seen) => type === 'RST_STREAM' && payload === tooMuch;
    await attacker.sees((frames) => frames.filter(resets).length === 20);
    attacker.socket.destroy();

    assert.ok(bufferedBytes < 20 * 65_535 + 100_000, `${bufferedBytes} bytes`);
  });
});

/** Opens connections that each send as much as their windows allow. */
function sendMuch(connections: number, path: string): Attacker[] {
  return Array.from({ length: connections }, () => {
    const attacker = attackPlain(victim);
    attacker.write(noWindow);
    for (const id of ids(16)) attacker.write(headers(id, request('POST', path)));
    for (const id of ids(16)) {
      const data = frameOf(FrameType.DATA, 0, id, Buffer.alloc(16_000));
      for (let i = 0; i < 4; i++) attacker.write(data);
    }
    return attacker;
  });
}

test('a response that is written while the socket is full is charged', async () => {
  await victim.survives(async () => {
    const attacker = attackPlain(victim);
    attacker.socket.pause();
    // In one write, as a peer with much to read is paused.
    const paths = Array.from({ length: 40 }, () => ['/1000000', '/late']).flat();
    const asked = paths.map((path, i) => headers(2 * i + 1, request('GET', path)));
    attacker.write(Buffer.concat([allWindows, ...asked]));
    // The kernel takes some of it.
    await untilServer(victim, ({ bufferedBytes }) => bufferedBytes > maxBufferedBytes / 2);
    await untilShed(victim);
    await leave(victim, [attacker]);
  });
});

test('a body that no handler consumes is paused above the limit, and then reset', async () => {
  await victim.survives(async () => {
    const attackers = sendMuch(8, '/silent');
    await untilServer(victim, ({ bufferedBytes }) => bufferedBytes > maxBufferedBytes);
    const most = await maxBuffered(victim);
    await untilShed(victim);
    await untilServer(victim, () => calmed(attackers) > 0);
    await leave(victim, attackers);

    // One read each may be in progress, and the last ones have their fair share.
    assert.ok(most < 1.5 * maxBufferedBytes + 8 * 100_000, `${most} bytes`);
  });
});

test('an echo that its peer does not read is paused near the limit', async () => {
  await victim.survives(async () => {
    const attackers = sendMuch(8, '/');
    await untilServer(victim, ({ bufferedBytes }) => bufferedBytes > maxBufferedBytes);
    const most = await maxBuffered(victim);
    await untilShed(victim);
    await untilServer(victim, () => calmed(attackers) > 0);
    await leave(victim, attackers);

    // One read each may be in progress, which counts twice: as request and response.
    assert.ok(most < 1.25 * maxBufferedBytes + 16 * 100_000, `${most} bytes`);
  });
});

test('a body that is sent byte by byte and held is charged for its memory', async () => {
  const data = ids(10).map((id) => frameOf(FrameType.DATA, 0, id, Buffer.from('x')));
  const some = Buffer.concat(Array.from({ length: 1000 }, () => Buffer.concat(data)));
  await victim.survives(async () => {
    const before = await victim.collected();
    const attacker = attackPlain(victim);
    attacker.write(noWindow);
    for (const id of ids(10)) attacker.write(headers(id, request('POST', '/')));
    for (let round = 0; round < 10; round++) {
      attacker.write(some);
      await victim.ask();
    }
    // More than 50,000 of them.
    await untilServer(victim, ({ bufferedBytes }) => bufferedBytes > maxBufferedBytes);
    const held = await victim.collected();
    await leave(victim, [attacker]);

    const counted = held.bufferedBytes - before.bufferedBytes;
    const taken = held.memory - before.memory;
    assert.ok(taken < 2 * counted + megabyte, `${counted} counted, ${taken} taken`);
  });
});

test('the headers of open requests are charged for their memory', async () => {
  const padding = Buffer.concat([
    Buffer.from([0x00, 0x01, 0x61, 0x7f, 0xa1, 0x1e]),
    Buffer.alloc(4000, 'x'),
  ]);
  const block = Buffer.concat([request('POST', '/silent'), padding, padding, padding]);
  await victim.survives(async () => {
    const before = await victim.collected();
    const attackers = Array.from({ length: 4 }, () => attackPlain(victim));
    for (const { write } of attackers) {
      write(noWindow);
      for (const id of ids(250)) write(headers(id, block));
    }
    await untilServer(victim, ({ bufferedBytes }) => bufferedBytes > maxBufferedBytes);
    const held = await victim.collected();
    await untilShed(victim);
    await untilServer(victim, () => calmed(attackers) > 0);
    await leave(victim, attackers);

    const counted = held.bufferedBytes - before.bufferedBytes;
    const taken = held.memory - before.memory;
    assert.ok(taken < 2 * counted + megabyte, `${counted} counted, ${taken} taken`);
  });
});

test('streams stay open within the limit, more are refused, and all close with their connections', async () => {
  await victim.survives(async () => {
    const attackers = Array.from({ length: 10 }, () => attackPlain(victim));
    for (const { write } of attackers) {
      write(noWindow);
      write(Buffer.concat(ids(1000).map((id) => headers(id, request('GET', '/10')))));
    }
    const { openStreams } = await untilServer(
      victim,
      (stats) => stats.openStreams > 3000 && refused(attackers) > 0,
    );
    for (let i = 0; i < 3; i++) await victim.ask();
    assert.ok(openStreams < 6000, `${openStreams} streams`);
    for (const { socket } of attackers) socket.resetAndDestroy();
  });
});
