import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuTime } from '../support/cpu.ts';
import { imageEnv } from '../support/image_env.ts';
import { peakMemory } from '../support/memory.ts';
import { baseEnv, podMiB } from '../pod/pod.ts';
import { install } from '../support/program.ts';
import { startHelper } from './helper.ts';
import { deadlineMs, type HonestOrder, type Seen, sum, type Times } from './honest.ts';
import type { Done } from './hostile.ts';
import type { Red, Row } from './rows.ts';

/** What the attacker is told. */
export interface AttackOrder {
  row: string;
  port: number;
  pid: number;
  /** How long a rate is kept up; see Hostile. */
  ms?: number;
}

/** One attack, and what the honest client has seen before it, meanwhile, and afterwards. */
export interface Round {
  without: Seen;
  during: Seen;
  after: Seen;
  done: Done;
  /** The most memory that the server has had, in MiB. */
  peak: number;
  /** Processor time of the server from the beginning of the attack on. */
  cpuMs: number;
  /** How many processes want a processor of this machine, on average of a minute. */
  load: number;
  /** None where the row holds. */
  wrong: readonly Wrong[];
}

/** Something that an honest client should not see. */
export interface Wrong {
  /** A call or probe took too long, or was not answered OK; the row's own rule is broken; or there is no server left. */
  kind: Red | 'ended';
  what: string;
}

const startMs = 10_000;
const warmUpMs = 1000;
const settleMs = 500;
const attackMs = 60_000;
/** The honest client answers once what it has asked is answered. */
const takeMs = 2 * deadlineMs + 5000;
/** Other calls may take so long, */
const boundMs = 150;
/** or so many times what they take without the attack. */
const boundTimes = 3;

/** Milliseconds of the parts of a round. */
interface Pace {
  /** How long a rate is kept up; see Hostile. */
  rateMs?: number;
  /** Before the attack: a longer time has a higher worst call, and so a bound that is no lower. */
  quietMs?: number;
  /** Afterwards, for the table alone. */
  afterMs?: number;
}

interface MeasureOptions extends Pace {
  rounds: number;
  untilGreen?: boolean;
}

/** Attacks up to so many servers as a row has it, and no more once it holds. */
export async function measure(
  row: Row,
  { rounds, untilGreen = false, ...pace }: MeasureOptions,
): Promise<Round[]> {
  const all: Round[] = [];
  while (all.length < rounds) {
    const round = await play(row, pace);
    all.push(round);
    if (untilGreen && news(row, round).length === 0) break;
  }
  return all;
}

/** Attacks a new server: one that has been attacked before has compiled what it needs for that. */
async function play(row: Row, { rateMs, quietMs = 2000, afterMs = 1000 }: Pace): Promise<Round> {
  using program = install();
  const served = await program.serve([], { env: settings(row) });
  const { address, pid } = served;
  served.discardLog();
  let isAlive = true;
  void served.ended.then(() => (isAlive = false));
  using honest = startHelper<HonestOrder | 'take', Seen>('honest_process.ts', 0);
  using attacker = startHelper<AttackOrder, Done>('attack_process.ts', 20);
  await honest.ask({ address, pid, gzip: row.isZipped ?? false }, startMs);
  await seen(warmUpMs);

  const without = await seen(quietMs);
  const cpu = cpuTime(pid);
  const port = Number(address.split(':')[1]);
  const order = { row: row.name, port, pid, ...(rateMs !== undefined && { ms: rateMs }) };
  const done = await attacker.ask(order, attackMs);
  const during = await seen(settleMs);
  const after = await seen(afterMs);

  const wrong = judge(without, during);
  wrong.push(...done.wrong.map((what): Wrong => ({ kind: 'own', what })));
  if (!isAlive) wrong.push({ kind: 'ended', what: 'the server has ended' });
  return {
    without,
    during,
    after,
    done,
    peak: isAlive ? peakMemory(pid) / 1024 ** 2 : 0,
    cpuMs: isAlive ? cpuTime(pid) - cpu : 0,
    load: loadavg()[0] ?? 0,
    wrong,
  };

  /** What has been seen since the last time, and is in so many milliseconds more. */
  async function seen(ms: number): Promise<Seen> {
    await sleep(ms);
    return honest.ask('take', takeMs);
  }
}

/** What is wrong with a round, and is not known of its row. */
export function news({ known = [] }: Row, { wrong }: Round): string[] {
  return wrong.flatMap(({ kind, what }) =>
    kind !== 'ended' && known.includes(kind) ? [] : [what],
  );
}

/** The round with least that is wrong, and then with the least worst call. */
export function best(rounds: readonly Round[]): Round | undefined {
  const worst = ({ during }: Round) => Math.max(during.calls.worst, during.probes.worst);
  return rounds.toSorted((a, b) => a.wrong.length - b.wrong.length || worst(a) - worst(b))[0];
}

function judge(without: Seen, during: Seen): Wrong[] {
  const wrong: Wrong[] = [];
  for (const whose of ['calls', 'probes'] as const) {
    const most = Math.max(boundMs, boundTimes * without[whose].worst);
    const { worst, refused } = during[whose];
    if (worst > most) {
      wrong.push({
        kind: 'waits',
        what: `${whose}: ${worst.toFixed(0)} ms, above ${most.toFixed(0)}`,
      });
    }
    const count = sum(Object.values(refused));
    if (count > 0) {
      wrong.push({ kind: 'refused', what: `${whose}: ${count} refused (${codes(during[whose])})` });
    }
  }
  return wrong;
}

/** How often what a call ended with came. */
export function codes({ refused }: Times): string {
  return Object.entries(refused)
    .map(([code, count]) => `${count} × ${code}`)
    .join(', ');
}

function settings({ isPod = false }: Row): Record<string, string> {
  const env = { GREETER_ENGINE: 'direct', GREETER_TLS_CERT_FILE: '', GREETER_TLS_KEY_FILE: '' };
  const pod = isPod ? { ...imageEnv(podMiB), ...baseEnv() } : {};
  return { ...pod, ...env, GREETER_INTEROP: 'on' };
}
