import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flag, FrameType, maxInt31 } from '../../src/engine/http2/frames.ts';
import { ids } from '../http2_attacks/attacker.ts';
import { untilServer } from '../http2_attacks/shedding.ts';
import { callOf, headers, product } from '../http2_attacks/targets.ts';
import { startVictim } from '../http2_attacks/victim.ts';
import { frameOf, word } from '../support/http2_peer.ts';
import { paths } from '../support/kinds.ts';
import { packed } from '../support/raw_client.ts';
import { answered, attack, data, message, upload, zipped } from './calls.ts';

const { END_STREAM } = Flag;
const megabyte = 1024 * 1024;
const victim = await startVictim(product);
const unary = callOf(paths.unary);
const unaryZipped = callOf(paths.unary, { 'grpc-encoding': 'gzip' });

test('a compressed message is not decompressed before its request is complete', async () => {
  const body = zipped('x'.repeat(4_000_000));
  await victim.survives(async () => {
    const before = await victim.collected();
    const attacker = attack(victim);
    for (const id of ids(100)) attacker.write(headers(id, unaryZipped));
    for (const id of ids(100)) attacker.write(data(id, body));
    await untilServer(victim, ({ bufferedBytes }) => bufferedBytes >= 100 * body.length);
    for (let i = 0; i < 10; i++) await victim.ask();
    const { memory, openCalls } = await victim.collected();
    attacker.socket.destroy();

    assert.equal(openCalls, 100);
    assert.ok(memory - before.memory < 10 * megabyte, `${memory - before.memory} bytes`);
    return { CANCELLED: 100 };
  });
});

test('200 messages of corrupt gzip end with INTERNAL', async () => {
  const corrupt = packed(Buffer.from('this is no gzip'));
  await victim.survives(async () => {
    const attacker = attack(victim);
    for (const id of ids(200)) {
      attacker.write(headers(id, unaryZipped));
      attacker.write(data(id, corrupt, { flags: END_STREAM }));
    }
    for (let i = 0; i < 3; i++) await victim.ask();
    await attacker.sees(() => answered(attacker) === 200);
    attacker.socket.destroy();
    return { INTERNAL: 200 };
  });
});

test('100,000 empty messages in a client stream end it when its service stops reading', async () => {
  await victim.survives(async () => {
    const attacker = attack(victim);
    attacker.write(headers(1, callOf(paths.clientStream, { 'x-keep': '1' })));
    await upload(attacker, 1, { body: Buffer.alloc(5 * 100_000) });
    for (let i = 0; i < 3; i++) await victim.ask();
    await attacker.sees(() => answered(attacker) === 1);
    attacker.socket.destroy();
    return { RESOURCE_EXHAUSTED: 1 };
  });
});

test('5,000 empty messages in a bidi stream are all answered', async () => {
  const windows = frameOf(FrameType.WINDOW_UPDATE, 0, 0, word(maxInt31 - 65_535));
  const reply = 5;
  await victim.survives(async () => {
    const attacker = attack(victim, maxInt31);
    attacker.write(windows);
    attacker.write(headers(1, callOf('/echo.Echo/Bidi')));
    await upload(attacker, 1, { body: Buffer.alloc(5 * 5000) });
    for (let i = 0; i < 3; i++) await victim.ask();
    await attacker.sees(() => answered(attacker) === 1);
    attacker.socket.destroy();

    const replies = attacker.frames.filter(({ type }) => type === 'DATA');
    const length = replies.reduce((sum, { payload }) => sum + payload.length / 2, 0);
    assert.equal(length, 5000 * reply);
    return { OK: 1 };
  });
});

test('1,000 calls that announce 4 MiB and send little use little memory', async () => {
  const begun = Buffer.concat([Buffer.from([0]), word(4 * megabyte), Buffer.alloc(10)]);
  await victim.survives(async () => {
    const before = await victim.collected();
    const attacker = attack(victim);
    for (const id of ids(1000))
      attacker.write(Buffer.concat([headers(id, unary), data(id, begun)]));
    // A few are admitted, more are queued, and the others are refused.
    let [last, unchanged] = [0, 0];
    await untilServer(victim, (stats) => {
      unchanged = stats.openStreams === last ? unchanged + 1 : 0;
      last = stats.openStreams;
      return stats.openStreams + answered(attacker) === 1000 && unchanged >= 20;
    });
    const { memory, openStreams } = await victim.collected();
    attacker.socket.destroy();

    assert.ok(openStreams > 100 && openStreams < 500, `${openStreams} streams`);
    assert.ok(memory - before.memory < 20 * megabyte, `${memory - before.memory} bytes`);
    const ended = await untilServer(victim, (stats) => stats.openCalls + stats.unlogged === 0);
    const count = (code: string) => (ended.logged[code] ?? 0) - (before.logged[code] ?? 0);
    // A call that has been queued for a second may be refused, too.
    assert.ok(count('CANCELLED') <= openStreams);
    assert.equal(count('CANCELLED') + count('RESOURCE_EXHAUSTED'), 1000);
    return { CANCELLED: count('CANCELLED'), RESOURCE_EXHAUSTED: count('RESOURCE_EXHAUSTED') };
  });
});

test('a message of 4 MiB in frames of 64 bytes is accepted', async () => {
  const body = message('x'.repeat(4 * megabyte - 5));
  await victim.survives(async () => {
    const attacker = attack(victim);
    attacker.write(headers(1, callOf(paths.clientStream, { 'x-keep': '1' })));
    for (let i = 0; i < 3; i++) await victim.ask();
    await upload(attacker, 1, { body, size: 64 });
    await attacker.sees(() => answered(attacker) === 1);
    attacker.socket.destroy();
    // It exceeds what that service keeps.
    return { RESOURCE_EXHAUSTED: 1 };
  });
});

test('messages sent byte by byte on 100 streams are answered', async () => {
  const body = message('x'.repeat(100));
  await victim.survives(async () => {
    const attacker = attack(victim);
    for (const id of ids(100)) attacker.write(headers(id, unary));
    for (let at = 0; at < body.length; at++) {
      const flags = at + 1 === body.length ? END_STREAM : 0;
      const byte = body.subarray(at, at + 1);
      attacker.write(Buffer.concat(ids(100).map((id) => data(id, byte, { flags }))));
      if (at % 20 === 0) await victim.ask();
    }
    await attacker.sees(() => answered(attacker) === 100);
    attacker.socket.destroy();
    return { OK: 100 };
  });
});

test('a prefix sent byte by byte, and then nothing, keeps one call and no more', async () => {
  const body = message('x');
  await victim.survives(async () => {
    const attacker = attack(victim);
    attacker.write(headers(1, unary));
    for (const byte of body.subarray(0, 5)) {
      attacker.write(data(1, Buffer.from([byte])));
      await victim.pass(1000);
    }
    const { openCalls } = await victim.stats();
    attacker.socket.destroy();

    assert.equal(openCalls, 1);
    return { CANCELLED: 1 };
  });
});
