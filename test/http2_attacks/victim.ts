import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after } from 'node:test';
import type { Limits } from '../../src/transport/engine_types.ts';
import type { Target } from './targets.ts';

/** What a server has at one moment. */
export interface Stats {
  openConnections: number;
  openStreams: number;
  /** Calls that the engine and the chain have, together. */
  openCalls: number;
  bufferedBytes: number;
  /** Open file descriptors; 0 where the system does not tell. */
  descriptors: number;
  /** Bytes that V8 and its buffers hold. */
  memory: number;
  /** Calls that have come and have no line in the log. */
  unlogged: number;
  /** How many lines the log has, by their code. */
  logged: Calls;
}

/** How many calls ended so, by their code. */
type Calls = Readonly<Record<string, number>>;

/** What the process is told; it answers with its stats. */
export interface Order {
  /** Milliseconds that pass at once, with one tick of the server's timers at their end. */
  pass?: number;
  /** Collects what is garbage, before. */
  collect?: boolean;
}

/** A server in a process of its own, and a client of it that means well. */
export interface Victim {
  /** The ports it listens on. */
  plain: number;
  tls: number;
  stats(): Promise<Stats>;
  /** The same after a collection. */
  collected(): Promise<Stats>;
  /** Lets milliseconds pass at once for the server; the other client is heard before they do. */
  pass(ms: number): Promise<Stats>;
  /** Has the other client send a request; resolves when it has its answer. */
  ask(): Promise<void>;
  /**
   * Attacks three times. Throws unless the other client is answered meanwhile and afterwards, the
   * server has then what it had after the first time, and each call that the attack says it has made
   * has one line in the log.
   */
  survives(attack: () => Promise<Calls | void>): Promise<void>;
}

/** Times that an attack asks for the other client's answer, at least. */
const minAnswers = 3;
/** What memory may differ by without anything being kept of an attack. */
const margin = 2 * 1024 * 1024;
/** Until then what closes has closed. */
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
  // Until the server knows the headers of this client, and keeps no more of it.
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
    // The first time, the server loads and compiles what it needs.
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

  /** Waits until the server has no more than in the beginning, and at most this memory. */
  async function back(maxMemory: number): Promise<Stats> {
    const { openConnections, openStreams, descriptors } = first;
    const isBack = (now: Stats) =>
      now.openConnections === openConnections &&
      now.openStreams === openStreams &&
      now.openCalls === 0 &&
      now.unlogged === 0 &&
      // What is kept of the other client for speed alone may have been dropped.
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
