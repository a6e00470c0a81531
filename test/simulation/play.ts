import { check, checkOver, checkTurned } from './checks.ts';
import { Honest } from './honest.ts';
import { Hostile } from './hostile.ts';
import type { Move } from './moves.ts';
import { createWorld } from './world.ts';

/** The number of clients, and the server's limit. */
export interface Cast {
  /** Bytes. */
  budget: number;
  /** The number of hostile clients. */
  hostile: number;
}

/** The outcome. */
export interface Outcome {
  /** Calls of the honest client that completed, and that were refused. */
  finished: number;
  refused: number;
  /** The maximum turns of its messages. */
  maxTurns: number;
}

/** The turns until everything has ended. */
const lastTurns = 500;
/** The maximum turns before the clock advances. */
const turnsInTime = 20;
/** More than any timeout of the server, in milliseconds, and the steps in which it passes. */
const maxTimeout = { ms: 120_000, step: 1000 };

/** Plays the moves on a new server; throws if an invariant does not hold. `tick` advances the timers. */
export async function play(
  moves: readonly Move[],
  { budget, hostile: count, tick }: Cast & { tick: (ms: number) => void },
): Promise<Outcome> {
  const world = createWorld({ budget, tick });
  const honest = new Honest(world);
  const hostile = Array.from({ length: count }, () => new Hostile(world));
  for (const move of moves) await act(move);

  // Everything that they started is still open.
  await turnUntil(() => honest.openCalls === 0 || world.isFull);
  // Eviction takes time.
  for (let left = 5; left > 0 && honest.openCalls > 0; left--) await pass(maxTimeout.step);
  for (const peer of hostile) {
    await step(() => peer.read(true));
    await step(() => peer.resetAll());
  }
  await turnUntil(() => !world.turns.isPending);
  await pass(maxTimeout.step);
  await turnUntil(() => !world.turns.isPending);
  for (const peer of hostile) peer.leave('reset');
  await turnUntil(() => honest.openCalls === 0);
  if (honest.openCalls > 0) throw new Error(`${honest.openCalls} honest calls never end`);
  honest.leave();
  for (const { wire } of world.links) wire.leave();
  for (let ms = 0; ms < maxTimeout.ms && world.http2.openConnections > 0; ms += maxTimeout.step) {
    await pass(maxTimeout.step);
  }
  await turnUntil(() => !world.turns.isPending && world.calls.size === 0);
  checkOver(world);
  const { finished, refused, maxTurns } = honest;
  return { finished, refused, maxTurns };

  async function step(deed: () => void): Promise<void> {
    deed();
    do await world.settle();
    while (honest.react());
    check(world);
  }

  async function turn(): Promise<void> {
    await step(() => world.turns.run());
    honest.turned();
    checkTurned(world);
  }

  async function turnUntil(isOver: () => boolean): Promise<void> {
    for (let left = lastTurns; left > 0 && !isOver(); left--) await turn();
  }

  /** What continues on its own has done so within a second. */
  async function pass(ms: number): Promise<void> {
    for (let left = turnsInTime; left > 0 && world.turns.isPending; left--) await turn();
    await step(() => world.pass(ms));
    await turn();
  }

  async function act(move: Move): Promise<void> {
    if ('peer' in move) {
      const peer = hostile[move.peer % hostile.length];
      return peer ? step(() => harm(peer, move)) : undefined;
    }
    switch (move.do) {
      case 'turn':
        for (let left = move.count; left > 0; left--) await turn();
        return;
      case 'time':
        return pass(move.ms);
      case 'honest call':
        return step(() => honest.call(move.count, move.size));
      case 'flood by all':
        return step(() => hostile.forEach((peer) => peer.flood(move.kind, move.count)));
      case 'open the gate':
        return step(() => world.open());
      case 'retire':
        return step(() => world.http2.retireConnections());
      case 'shut down':
        return step(() => void world.http2.shutdown());
    }
  }
}

function harm(peer: Hostile, move: Extract<Move, { peer: number }>): void {
  switch (move.do) {
    case 'open':
      return peer.open(move);
    case 'message':
      return peer.message(move.which, move);
    case 'end':
      return peer.end(move.which);
    case 'reset':
      return peer.reset(move.which);
    case 'grow':
      return peer.grow(move.which, move.by);
    case 'settings':
      return peer.settings(move.initialWindow, move.maxFrameSize);
    case 'flood':
      return peer.flood(move.kind, move.count);
    case 'frame':
      return peer.frame(move.what, move.which);
    case 'answer':
      return peer.answer();
    case 'greet wrongly':
      return peer.greetWrongly();
    case 'cut':
      return peer.cut(move.chunk);
    case 'withhold':
      return peer.withhold(move.bytes);
    case 'stop reading':
      return peer.read(false);
    case 'read':
      return peer.read(true);
    case 'break off':
      return peer.leave('reset');
    case 'leave':
      return peer.leave('end');
  }
}
