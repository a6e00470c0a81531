import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { createChannel, createClient } from 'nice-grpc';
import { ErrorCode } from '../src/engine/http2/errors.ts';
import { Flag, FrameType, maxInt31 } from '../src/engine/http2/frames.ts';
import { EchoDefinition } from './echo/gen/echo.ts';
import { answered, attack, data, message } from './grpc_attacks/calls.ts';
import type { Attacker } from './http2_attacks/attacker.ts';
import { untilServer } from './http2_attacks/shedding.ts';
import { callOf, headers, product } from './http2_attacks/targets.ts';
import { startVictim } from './http2_attacks/victim.ts';
import { frameOf } from './support/http2_peer.ts';
import { paths } from './support/kinds.ts';
import { listenTcp } from './support/tcp.ts';

const maxConnectionAge = 20_000;
const maxConnectionAgeGrace = 5000;
const victim = await startVictim(product, { maxConnectionAge, maxConnectionAgeGrace });

/** The last stream of each GOAWAY; asserts that all have NO_ERROR. */
function goAways({ frames }: Attacker): number[] {
  return frames
    .filter(({ type }) => type === 'GOAWAY')
    .map(({ payload }) => {
      const bytes = Buffer.from(payload, 'hex');
      assert.equal(bytes.readUInt32BE(4), ErrorCode.NO_ERROR);
      return bytes.readUInt32BE();
    });
}

/** Advances the clock until a new connection is old, whatever its jitter. */
async function grow(): Promise<void> {
  await victim.pass(maxConnectionAge);
  await victim.pass(maxConnectionAge / 10);
}

test('an old connection gets GOAWAY, and its calls complete', async () => {
  const attacker = attack(victim);
  const { frames, sees, write } = attacker;
  write(headers(1, callOf(paths.bidi)));
  await untilServer(victim, ({ openStreams }) => openStreams === 1);
  await grow();
  await sees(() => goAways(attacker).length === 1);
  // This request was in flight.
  write(headers(3, callOf(paths.unary)));
  write(data(3, message('Keys'), { flags: Flag.END_STREAM }));
  await sees(() => answered(attacker) === 1);
  const asked = frames.find(({ type, flags }) => type === 'PING' && flags === 0);
  const payload = Buffer.from(asked?.payload ?? '', 'hex');
  write(frameOf(FrameType.PING, Flag.ACK, 0, payload));
  await sees(() => goAways(attacker).length === 2);
  write(data(1, message('Keys'), { flags: Flag.END_STREAM }));

  assert.equal(await attacker.cutOff(), ErrorCode.NO_ERROR);
  assert.equal(answered(attacker), 2);
  assert.deepEqual(goAways(attacker), [maxInt31, 3]);
});

test('calls that are open after the grace period end with UNAVAILABLE, and the connection is closed', async () => {
  const session = connectHttp2(`http://127.0.0.1:${victim.plain}`);
  const goAway = once(session, 'goaway');
  const closed = once(session, 'close');
  const stream = session.request({
    ':method': 'POST',
    ':path': paths.clientStream,
    'content-type': 'application/grpc',
  });
  const answer = once(stream, 'response');
  await untilServer(victim, ({ openStreams }) => openStreams === 1);
  await grow();
  await goAway;
  const before = await victim.pass(maxConnectionAgeGrace - 1);
  await victim.pass(1);
  const [fields] = await answer;
  await closed;

  assert.equal(before.openStreams, 1);
  assert.equal(fields['grpc-status'], '14');
  assert.equal(fields['grpc-message'], 'Connection has reached its age');
});

test('an old connection whose peer grants no window is closed after the grace period, its calls with a status', async () => {
  const attacker = attack(victim, 0);
  attacker.write(product.sized(1, 1000));
  await untilServer(victim, ({ bufferedBytes }) => bufferedBytes > 1000);
  await grow();
  const { openStreams } = await victim.stats();
  await victim.pass(maxConnectionAgeGrace);
  await attacker.cutOff();

  assert.equal(openStreams, 1);
  const ends = attacker.frames.filter(({ flags, streamId }) => streamId === 1 && flags === 5);
  assert.equal(ends.length, 1);
});

test('connections opened together are not closed together', async () => {
  const attackers = Array.from({ length: 100 }, () => attack(victim));
  const told = () => attackers.filter((attacker) => goAways(attacker).length > 0).length;
  for (const { sees } of attackers) await sees(({ length }) => length === 3);
  const seen = [];
  for (const ms of [maxConnectionAge - 1, 1 + maxConnectionAge / 20, maxConnectionAge / 20]) {
    const { openConnections } = await victim.pass(ms);
    await untilServer(victim, (now) => now.openConnections <= openConnections);
    seen.push(told());
  }
  for (const attacker of attackers) await attacker.sees(() => goAways(attacker).length > 0);
  for (const { socket } of attackers) socket.destroy();

  const [young, half = 0] = seen;
  assert.equal(young, 0);
  assert.ok(half < 100, `${half} of 100`);
});

test('a client on grpc-js reconnects, and loses no call', async (t) => {
  let connections = 0;
  const relay = createServer((socket) => {
    connections++;
    const server = connect(victim.plain, '127.0.0.1');
    socket.pipe(server).pipe(socket);
    for (const one of [socket, server]) one.on('error', () => {});
  });
  const port = await listenTcp(relay);
  const channel = createChannel(`127.0.0.1:${port}`);
  const client = createClient(EchoDefinition, channel);
  t.after(() => {
    channel.close();
    relay.close();
  });
  const before = connections;
  const calls: Promise<unknown>[] = [];
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 10; i++) calls.push(client.unary({ text: `${i}` }));
    // The client's clock does not advance, so it may receive a GOAWAY late.
    await victim.pass(maxConnectionAge / 8);
  }
  await Promise.all(calls);

  assert.ok(connections - before >= 2, `${connections - before} connections`);
});
