import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuTime } from '../support/cpu.ts';
import { imageEnv } from '../support/image_env.ts';
import { peakMemory } from '../support/memory.ts';
import { baseEnv, podMiB } from '../pod/pod.ts';
import { installEcho } from '../support/echo_program.ts';
import { startHelper } from './helper.ts';
import { deadlineMs, type HonestOrder, type Seen, sum, type Times } from './honest.ts';
import type { Done } from './hostile.ts';
import type { Row } from './rows.ts';

/** The parameters of an attack. */
export interface AttackOrder {
  row: string;
  port: number;
  pid: number;
  /** The duration of a rate in milliseconds; see Hostile. */
  ms?: number;
}

/** One attack, and what the honest client saw before, during and after it. */
export interface Round {
  without: Seen;
  during: Seen;
  after: Seen;
  done: Done;
  /** The peak memory of the server in MiB. */
  peak: number;
  /** The processor time of the server since the attack began, in milliseconds. */
  cpuMs: number;
  /** The load average of the machine over one minute. */
  load: number;
  /** Empty if the row passes. */
  failures: readonly Failure[];
}

/** A reason why a round does not pass. */
export interface Failure {
  /** A call or probe was slow or not answered OK, the row's own rule was violated, or the server process ended. */
  kind: 'waits' | 'refused' | 'own' | 'ended';
  what: string;
}

const startMs = 10_000;
const warmUpMs = 700;
const settleMs = 500;
const attackMs = 60_000;
/** The honest client reports after its pending calls have ended, in milliseconds. */
const reportMs = 2 * deadlineMs + 5000;
/** The maximum latency in milliseconds of calls and probes during an attack ... */
const boundMs = 150;
/** ... or, if that is higher, this multiple of the slowest one without the attack. */
const boundTimes = 3;

/** The durations of the parts of a round. */
interface Pace {
  /** The duration of a rate; see Hostile. */
  rateMs?: number;
  /** Before the attack. A longer time may find a slower call, which raises the bound. */
  quietMs?: number;
  /** After the attack; the result appears only in the table. */
  afterMs?: number;
}

interface MeasureOptions extends Pace {
  rounds: number;
  untilGreen?: boolean;
}

/** Runs up to `rounds` rounds of a row; with `untilGreen`, stops after the first that passes. */
export async function measure(
  row: Row,
  { rounds, untilGreen = false, ...pace }: MeasureOptions,
): Promise<Round[]> {
  const all: Round[] = [];
  while (all.length < rounds) {
    const round = await play(row, pace);
    all.push(round);
    if (untilGreen && round.failures.length === 0) break;
  }
  return all;
}

/** Attacks a new server, because after one attack V8 has compiled the code that the next would need. */
async function play(row: Row, { rateMs, quietMs = 2000, afterMs = 1000 }: Pace): Promise<Round> {
  using program = installEcho();
  // They start at the same time as the server.
  using honest = startHelper<HonestOrder | 'take', Seen>('honest_process.ts', 0);
  using attacker = startHelper<AttackOrder, Done>('attack_process.ts', 20);
  const served = await program.serve([], { env: settings(row) });
  const { address, pid } = served;
  served.discardLog();
  let isAlive = true;
  void served.ended.then(() => (isAlive = false));
  await honest.ask({ address, pid, gzip: row.isZipped ?? false }, startMs);
  await seen(warmUpMs);

  const without = await seen(quietMs);
  const cpu = cpuTime(pid);
  const port = Number(address.split(':')[1]);
  const order = { row: row.name, port, pid, ...(rateMs !== undefined && { ms: rateMs }) };
  const done = await attacker.ask(order, attackMs);
  const during = await seen(settleMs);
  const after = await seen(afterMs);

  const failures = judge(without, during);
  failures.push(...done.failures.map((what): Failure => ({ kind: 'own', what })));
  if (!isAlive) failures.push({ kind: 'ended', what: 'the server has ended' });
  return {
    without,
    during,
    after,
    done,
    peak: isAlive ? peakMemory(pid) / 1024 ** 2 : 0,
    cpuMs: isAlive ? cpuTime(pid) - cpu : 0,
    load: loadavg()[0] ?? 0,
    failures,
  };

  /** Waits, and returns what the honest client has seen since the previous report. */
  async function seen(ms: number): Promise<Seen> {
    await sleep(ms);
    return honest.ask('take', reportMs);
  }
}

/** The round with the fewest failures; of several, the one with the lowest maximum latency. */
export function best(rounds: readonly Round[]): Round | undefined {
  const worst = ({ during }: Round) => Math.max(during.calls.worst, during.probes.worst);
  return rounds.toSorted((a, b) => a.failures.length - b.failures.length || worst(a) - worst(b))[0];
}

function judge(without: Seen, during: Seen): Failure[] {
  const failures: Failure[] = [];
  for (const whose of ['calls', 'probes'] as const) {
    const bound = Math.max(boundMs, boundTimes * without[whose].worst);
    const { worst, refused } = during[whose];
    if (worst > bound) {
      failures.push({
        kind: 'waits',
        what: `${whose}: ${worst.toFixed(0)} ms, above ${bound.toFixed(0)}`,
      });
    }
    const count = sum(Object.values(refused));
    if (count > 0) {
      failures.push({
        kind: 'refused',
        what: `${whose}: ${count} refused (${codes(during[whose])})`,
      });
    }
  }
  return failures;
}

/** Formats the number of failed calls by status or other reason. */
export function codes({ refused }: Times): string {
  return Object.entries(refused)
    .map(([code, count]) => `${count} × ${code}`)
    .join(', ');
}

function settings({ isPod = false }: Row): Record<string, string> {
  const env = { GREETER_ENGINE: 'direct', GREETER_TLS_CERT_FILE: '', GREETER_TLS_KEY_FILE: '' };
  const pod = isPod ? { ...imageEnv(podMiB), ...baseEnv() } : {};
  return { ...pod, ...env };
}
