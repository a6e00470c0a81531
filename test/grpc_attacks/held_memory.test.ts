import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Attacker, ids } from '../http2_attacks/attacker.ts';
import {
  calmed,
  leave,
  maxBufferedBytes,
  maxBuffered,
  untilServer,
  untilShed,
} from '../http2_attacks/shedding.ts';
import { callOf, headers, probed } from '../http2_attacks/targets.ts';
import { startVictim } from '../http2_attacks/victim.ts';
import { Flag } from '../../src/engine/http2/frames.ts';
import { paths } from '../support/kinds.ts';
import { answered, attack, data, message, zipped } from './calls.ts';

const megabyte = 1024 * 1024;
const victim = await startVictim(probed, { maxBufferedBytes, maxMessageSize: megabyte });

/** Connects peers that read nothing; each opens calls, and sends these bytes on each. */
async function crowd(
  connections: number,
  streams: number,
  { block, body, flags = 0 }: { block: Buffer; body: Buffer; flags?: number },
): Promise<Attacker[]> {
  const attackers = Array.from({ length: connections }, () => attack(victim, 0));
  for (const { write } of attackers) for (const id of ids(streams)) write(headers(id, block));
  // Calls opened below the limit are not refused.
  await untilServer(victim, ({ openStreams }) => openStreams === connections * streams);
  for (const { write } of attackers)
    for (const id of ids(streams)) write(data(id, body, { flags }));
  return attackers;
}

/** Advances the clock until no more calls are evicted; returns the number of open ones. */
async function untilSettled(attackers: readonly Attacker[], calls: number): Promise<number> {
  for (let round = 0; round < 20; round++) {
    const { openStreams } = await untilShed(victim);
    for (let i = 0; i < 3; i++) await victim.ask();
    if (calmed(attackers) === calls - openStreams) {
      const after = await untilShed(victim);
      if (after.openStreams === openStreams) return openStreams;
    }
  }
  return assert.fail(
    `${calmed(attackers)} of ${calls} calls given up: ${JSON.stringify(await victim.stats())}`,
  );
}

/** Waits until the limit is exceeded, and until it is not; returns the maximum, and how the calls have ended. */
async function shed(attackers: readonly Attacker[], calls: number) {
  await untilServer(victim, ({ bufferedBytes }) => bufferedBytes > maxBufferedBytes);
  const most = await maxBuffered(victim);
  const openStreams = await untilSettled(attackers, calls);
  await leave(victim, attackers);
  assert.ok(openStreams < calls, 'none was given up');
  return { most, ended: { CANCELLED: openStreams, RESOURCE_EXHAUSTED: calls - openStreams } };
}

test('endless responses to closed windows hold no more than the limit', async () => {
  const block = callOf(paths.serverStream);
  const body = message(`endless ${'x'.repeat(1000)}`);
  await victim.survives(async () => {
    const attackers = await crowd(1, 400, { block, body, flags: Flag.END_STREAM });
    const { most, ended } = await shed(attackers, 400);

    // Each holds its request, and one message above the limit.
    assert.ok(most < maxBufferedBytes + 400 * 4000, `${most} bytes`);
    return ended;
  });
});

const thousands = Buffer.concat(Array.from({ length: 62 }, () => message('x'.repeat(1000))));

test('uploads that no handler reads are paused above the limit', async () => {
  await victim.survives(async () => {
    const block = callOf(paths.clientStream);
    const attackers = await crowd(8, 16, { block, body: thousands });
    const { most, ended } = await shed(attackers, 128);

    // Each has its fair share, plus one read in progress.
    assert.ok(most < 1.5 * maxBufferedBytes + 8 * 100_000, `${most} bytes`);
    return ended;
  });
});

test('uploads that are echoed to closed windows are reset above the limit', async () => {
  await victim.survives(async () => {
    const attackers = await crowd(8, 16, { block: callOf(paths.bidi), body: thousands });
    const { most, ended } = await shed(attackers, 128);

    // They are read, as they could open windows, but not without limit.
    assert.ok(most < 1.25 * maxBufferedBytes + 8 * 200_000, `${most} bytes`);
    return ended;
  });
});

test('complete messages are charged while their calls are open', async () => {
  const body = message('x'.repeat(60_000));
  await victim.survives(async () => {
    const attackers = await crowd(8, 16, { block: callOf(paths.unary), body });
    const { ended } = await shed(attackers, 128);
    return ended;
  });
});

test('requests that handlers keep are charged', async () => {
  const body = message(`wait ${'x'.repeat(60_000)}`);
  await victim.survives(async () => {
    const block = callOf(paths.serverStream);
    const attackers = await crowd(8, 16, { block, body, flags: Flag.END_STREAM });
    const { ended } = await shed(attackers, 128);
    return ended;
  });
});

test('requests are decompressed while they fit into memory, and then refused', async () => {
  const block = callOf(paths.serverStream, { 'grpc-encoding': 'gzip' });
  const body = zipped(`wait ${'x'.repeat(200_000)}`);
  await victim.survives(async () => {
    const attackers = await crowd(8, 5, { block, body, flags: Flag.END_STREAM });
    const refused = () => attackers.reduce((sum, attacker) => sum + answered(attacker), 0);
    await untilServer(victim, () => refused() >= 10);
    const most = await maxBuffered(victim);
    await leave(victim, attackers);

    // Some are decompressed concurrently.
    assert.ok(most < maxBufferedBytes + 8 * 200_000, `${most} bytes`);
    return { CANCELLED: 40 - refused(), RESOURCE_EXHAUSTED: refused() };
  });
});

test('messages that a service retains are charged', async () => {
  const block = callOf(paths.clientStream, { 'x-keep': '1' });
  await victim.survives(async () => {
    const attackers = await crowd(8, 16, { block, body: thousands });
    const { ended } = await shed(attackers, 128);
    return ended;
  });
});

test('100 zip bombs at once end with RESOURCE_EXHAUSTED, and take the memory of a few', async () => {
  const block = callOf(paths.unary, { 'grpc-encoding': 'gzip' });
  const bomb = zipped('x'.repeat(10_000_000));
  await victim.survives(async () => {
    const before = await victim.collected();
    const attacker = attack(victim);
    for (const id of ids(100)) attacker.write(headers(id, block));
    for (const id of ids(100)) attacker.write(data(id, bomb, { flags: Flag.END_STREAM }));
    let most = 0;
    for (let seen = 0; seen <= 100; seen += 10) {
      await attacker.sees(() => answered(attacker) >= seen);
      await victim.ask();
      most = Math.max(most, (await victim.stats()).memory - before.memory);
    }
    attacker.socket.destroy();

    // All of them at once take 110; uncollected garbage counts as well.
    assert.ok(most < 80 * megabyte, `${most} bytes`);
    return { RESOURCE_EXHAUSTED: 100 };
  });
});
