import assert from 'node:assert/strict';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { word } from '../support/http2_peer.ts';
import type { Attacker } from './attacker.ts';
import type { Stats, Victim } from './victim.ts';

/** The byte limit of the server in these tests. */
export const maxBufferedBytes = 4 * 1024 * 1024;

/** The maximum number of rounds until all input has arrived. */
const maxRounds = 10_000;

/** Makes calls with the other client until the server satisfies a condition; returns its statistics. */
export async function untilServer(
  victim: Victim,
  condition: (stats: Stats) => boolean,
): Promise<Stats> {
  for (let round = 0; round < maxRounds; round++) {
    await victim.ask();
    const stats = await victim.stats();
    if (condition(stats)) return stats;
  }
  return assert.fail(JSON.stringify(await victim.stats()));
}

/** Advances the clock until the limit is not exceeded; returns the statistics. */
export async function untilShed(victim: Victim): Promise<Stats> {
  for (let second = 0; second < 20; second++) {
    const stats = await victim.pass(1000);
    if (stats.bufferedBytes <= maxBufferedBytes) return stats;
  }
  return assert.fail(JSON.stringify(await victim.stats()));
}

/** The maximum of buffered bytes while the other client makes twenty calls. */
export async function maxBuffered(victim: Victim): Promise<number> {
  let most = 0;
  for (let round = 0; round < 20; round++) {
    await victim.ask();
    most = Math.max(most, (await victim.stats()).bufferedBytes);
  }
  return most;
}

/** The number of streams that the server has reset with ENHANCE_YOUR_CALM. */
export function calmed(attackers: readonly Attacker[]): number {
  return resets(attackers, ErrorCode.ENHANCE_YOUR_CALM);
}

/** The number of streams that the server has refused. */
export function refused(attackers: readonly Attacker[]): number {
  return resets(attackers, ErrorCode.REFUSED_STREAM);
}

function resets(attackers: readonly Attacker[], code: number): number {
  const wanted = word(code).toString('hex');
  return attackers
    .flatMap(({ frames }) => frames)
    .filter(({ type, payload }) => type === 'RST_STREAM' && payload === wanted).length;
}

/** Disconnects: the server notices at once if it reads, otherwise a few seconds later. */
export async function leave(victim: Victim, attackers: readonly Attacker[]): Promise<void> {
  for (const { socket } of attackers) socket.destroy();
  for (let second = 0; second < 20; second++) {
    const { openConnections } = await victim.pass(1000);
    if (openConnections === 1) return;
  }
}
