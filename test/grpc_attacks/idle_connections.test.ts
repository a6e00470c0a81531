import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flag } from '../../src/engine/http2/frames.ts';
import { field, plain } from '../hpack/blocks.ts';
import { type Attacker, ids } from '../http2_attacks/attacker.ts';
import { leave, maxBufferedBytes, untilServer } from '../http2_attacks/shedding.ts';
import { callOf, headers, product } from '../http2_attacks/targets.ts';
import { startVictim } from '../http2_attacks/victim.ts';
import { paths } from '../support/kinds.ts';
import { answered, attack, data, message } from './calls.ts';

const { END_STREAM } = Flag;
const victim = await startVictim(product, { maxBufferedBytes });
const connections = 200;
const timeout = 60_000;

/** `accept-encoding: gzip, deflate`, a byte each, 60 in a header list. */
const padding = Buffer.concat(Array.from({ length: 60 }, () => field(16)));

/** Calls with header blocks that are cached: lists of almost 4 KiB, of which 32 KiB are cached. */
const calls = ids(8).flatMap((id) => [
  headers(id, Buffer.concat([callOf(paths.unary), padding, plain('x', String(id))])),
  data(id, message('you'), { flags: END_STREAM }),
]);

async function crowd(each: (attacker: Attacker) => Promise<void>): Promise<Attacker[]> {
  const attackers: Attacker[] = [];
  for (let i = 0; i < connections; i++) {
    const attacker = attack(victim);
    attackers.push(attacker);
    await each(attacker);
  }
  return attackers;
}

/** The other client is served in time, and no connection gets GOAWAY. */
async function assertServed(attackers: readonly Attacker[]): Promise<void> {
  for (let second = 0; second < 5; second++) {
    const { bufferedBytes, openConnections } = await victim.pass(1000);
    assert.ok(bufferedBytes <= maxBufferedBytes, `${bufferedBytes} bytes`);
    assert.equal(openConnections, connections + 1);
  }
  await leave(victim, attackers);
}

test(
  'cached header lists of idle connections are freed before a call is refused',
  { timeout },
  async () => {
    const attackers = await crowd(async (attacker) => {
      attacker.write(Buffer.concat(calls));
      await attacker.sees(() => answered(attacker) === 8);
    });

    await assertServed(attackers);
  },
);

test(
  'cached header lists of active connections are freed before a call is refused',
  { timeout },
  async () => {
    const attackers = await crowd(async (attacker) => {
      attacker.write(Buffer.concat([...calls, headers(17, product.silent)]));
      await attacker.sees(() => answered(attacker) >= 8);
    });
    await untilServer(victim, ({ openStreams }) => openStreams === connections);

    await assertServed(attackers);
  },
);
