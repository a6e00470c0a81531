import assert from 'node:assert/strict';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { word } from '../support/http2_peer.ts';
import type { Attacker } from './attacker.ts';
import type { Stats, Victim } from './victim.ts';

/** Bytes that the server of these tests may keep. */
export const maxBufferedBytes = 4 * 1024 * 1024;

/** Until then what is on its way has come. */
const maxRounds = 10_000;

/** Has the other client ask until that is so of the server; gives what it has then. */
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

/** Lets seconds pass until the server keeps no more than it may; gives what it has then. */
export async function untilShed(victim: Victim): Promise<Stats> {
  for (let second = 0; second < 20; second++) {
    const stats = await victim.pass(1000);
    if (stats.bufferedBytes <= maxBufferedBytes) return stats;
  }
  return assert.fail(JSON.stringify(await victim.stats()));
}

/** The most that the server keeps while the other client asks twenty times. */
export async function maxBuffered(victim: Victim): Promise<number> {
  let most = 0;
  for (let round = 0; round < 20; round++) {
    await victim.ask();
    most = Math.max(most, (await victim.stats()).bufferedBytes);
  }
  return most;
}

/** How many streams the server has given up. */
export function calmed(attackers: readonly Attacker[]): number {
  return resets(attackers, ErrorCode.ENHANCE_YOUR_CALM);
}

/** How many streams the server has not even opened. */
export function refused(attackers: readonly Attacker[]): number {
  return resets(attackers, ErrorCode.REFUSED_STREAM);
}

function resets(attackers: readonly Attacker[], code: number): number {
  const wanted = word(code).toString('hex');
  return attackers
    .flatMap(({ frames }) => frames)
    .filter(({ type, payload }) => type === 'RST_STREAM' && payload === wanted).length;
}

/** Goes away: the server sees it where it reads, and a few seconds later where it does not. */
export async function leave(victim: Victim, attackers: readonly Attacker[]): Promise<void> {
  for (const { socket } of attackers) socket.destroy();
  for (let second = 0; second < 20; second++) {
    const { openConnections } = await victim.pass(1000);
    if (openConnections === 1) return;
  }
}
