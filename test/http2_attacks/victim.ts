import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after } from 'node:test';
import type { Limits } from '../../src/transport/engine_types.ts';
import type { Target } from './targets.ts';

/** The statistics of a server at one moment. */
export interface Stats {
  openConnections: number;
  openStreams: number;
  /** The calls of engine and chain. */
  openCalls: number;
  bufferedBytes: number;
  /** Open file descriptors; 0 if the system does not report them. */
  descriptors: number;
  /** Bytes of V8's heap and of buffers. */
  memory: number;
  /** Calls that have no log line yet. */
  unlogged: number;
  /** The number of log lines by status code. */
  logged: Calls;
}

/** The number of calls by status code. */
type Calls = Readonly<Record<string, number>>;

/** An order to the process, which answers with its statistics. */
export interface Order {
  /** Milliseconds to advance the clock, with one tick of the server's timers at the end. */
  pass?: number;
  /** Collects garbage first. */
  collect?: boolean;
}

/** A server in its own process, and an honest client. */
export interface Victim {
  /** The ports it listens on. */
  plain: number;
  tls: number;
  stats(): Promise<Stats>;
  /** The statistics after a garbage collection. */
  collected(): Promise<Stats>;
  /** Advances the server's clock by milliseconds, after the other client has been served. */
  pass(ms: number): Promise<Stats>;
  /** Makes a call with the honest client; resolves with its response. */
  ask(): Promise<void>;
  /**
   * Runs an attack three times. Throws unless the honest client is served during and after it, the server returns to
   * its state after the first run, and each call of the attack has one log line.
   */
  survives(attack: () => Promise<Calls | void>): Promise<void>;
}

/** The minimum number of honest calls during an attack. */
const minAnswers = 3;
/** The allowed difference of memory in bytes. */
const margin = 2 * 1024 * 1024;
/** The maximum number of rounds until connections have closed. */
const maxRounds = 300;

/** Starts a server for the tests of one file. */
export async function startVictim(
  { program, connect }: Target,
  options: Partial<Limits> = {},
): Promise<Victim> {
  const child = fork(join(import.meta.dirname, program), [JSON.stringify(options)], {
    execArgv: ['--expose-gc'],
  });
  const [{ plain, tls }] = await once(child, 'message');
  const friend = connect(plain);
  after(() => {
    friend.close();
    child.disconnect();
  });
  let answers = 0;
  // Fills the caches for this client's headers.
  for (let i = 0; i < 10; i++) await ask();
  const first = await collected();
  return { plain, tls, stats, collected, pass, ask, survives };

  async function tell(order: Order): Promise<Stats> {
    child.send(order);
    const [said] = await once(child, 'message');
    return said;
  }

  function stats(): Promise<Stats> {
    return tell({});
  }

  function collected(): Promise<Stats> {
    return tell({ collect: true });
  }

  async function pass(ms: number): Promise<Stats> {
    await ask();
    return tell({ pass: ms });
  }

  async function ask(): Promise<void> {
    await friend.ask();
    answers++;
  }

  async function survives(attack: () => Promise<Calls | void>): Promise<void> {
    // The first run loads and compiles code.
    await attack();
    const { memory, logged } = await back(Infinity);
    const answered = answers;
    let expected: Record<string, number> | undefined = { ...logged };
    for (let round = 0; round < 2; round++) {
      const before = answers;
      const calls = await attack();
      assert.ok(answers - before >= minAnswers, 'the other client was not asked');
      expected = calls && expected ? sum(expected, calls) : undefined;
    }
    await ask();
    const now = await back(memory + margin);
    // The echo has no log.
    if (!expected || !first.logged['OK']) return;
    assert.deepEqual(now.logged, sum(expected, { OK: answers - answered }));
  }

  /** Waits until the server returns to its initial state, and at most this memory. */
  async function back(maxMemory: number): Promise<Stats> {
    const { openConnections, openStreams, descriptors } = first;
    const isBack = (now: Stats) =>
      now.openConnections === openConnections &&
      now.openStreams === openStreams &&
      now.openCalls === 0 &&
      now.unlogged === 0 &&
      // Caches of the other client may have been freed.
      now.bufferedBytes > 0 &&
      now.bufferedBytes <= first.bufferedBytes &&
      now.descriptors <= descriptors &&
      now.memory <= maxMemory;
    let now = await collected();
    for (let round = 0; round < maxRounds && !isBack(now); round++) now = await collected();
    assert.ok(isBack(now), JSON.stringify({ first, now, maxMemory }));
    return now;
  }
}

function sum(some: Calls, more: Calls): Record<string, number> {
  const all: Record<string, number> = { ...some };
  for (const [code, count] of Object.entries(more)) {
    if (count > 0) all[code] = (all[code] ?? 0) + count;
  }
  return all;
}
