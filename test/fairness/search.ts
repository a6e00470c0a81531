// `node test/fairness/search.ts`: looks for what costs the server's main thread most for the bytes that it is sent, and
// prints the ten worst inputs. SEARCH_SECONDS (60) bounds it, SEARCH_SEED plays one again: its inputs are the same as long
// as the scores are.
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createInterop } from '../../src/app/interop.ts';
import { servedMethods } from '../../src/transport/catalogue.ts';
import { createRandom } from '../hpack/random.ts';
import { greeting } from '../http2_attacks/greeting.ts';
import { install, type Program } from '../program.ts';
import { goFirst } from './helper.ts';
import { Hostile, wideOpen } from './hostile.ts';
import { anyInput, bytesOf, changed, type Input } from './search_inputs.ts';

/** What the main thread of a server has done since it started, and its longest turn since it was last asked. */
export interface Work {
  cpuMs: number;
  stallMs: number;
}

/** An input and what it has cost. */
interface Found extends Work {
  input: Input;
  bytes: number;
  /** Milliseconds of the main thread for each KB. */
  score: number;
}

const seconds = Number(process.env['SEARCH_SECONDS'] ?? 60);
const seed = Number(process.env['SEARCH_SEED'] ?? randomInt(2 ** 31));
const listed = 10;
/** One input has so long. */
const mostMs = 3000;
const askEveryMs = 20;
/** A server that has not answered all calls and does nothing so long is done: it does not mean to. */
const mostIdle = 10;
const idleMs = 1;
/** Fewer KB count as so many: what each connection costs says nothing of what comes on it. */
const leastKB = 4;

const interop = createInterop({
  maxMessageSize: 0,
  freeBytes: () => 0,
  hostname: '',
  serverId: '',
});
const methods = servedMethods(interop).map(({ path }) => path);
const random = createRandom(seed);
/** The worst of each payload, zipped or not. */
const worst = new Map<string, Found>();

goFirst();
console.log(`seed ${seed}, ${seconds} s`);
using program = install();
let tried = 0;
let server = await start(program);
const end = performance.now() + seconds * 1000;
for (; performance.now() < end; tried++) {
  const parents = ranked();
  const parent = random.oneIn(3) ? undefined : parents[random.below(parents.length)];
  const input = parent ? changed(random, parent.input, methods) : anyInput(random, methods);
  const found = await play(input);
  if (!server.isAlive()) {
    console.log(`the server has ended by ${JSON.stringify(input)}`);
    server = await start(program);
  }
  const key = `${input.payload} ${input.isZipped}`;
  const known = worst.get(key)?.score ?? 0;
  if (found.score <= known) continue;
  // The first time, a server may have compiled what it needed.
  const again = await play(input);
  if (again.score > known) worst.set(key, again);
}
console.log(`${tried} inputs; ms of the main thread for each KB, ms in all, longest turn, bytes:`);
for (const { score, cpuMs, stallMs, bytes, input } of ranked()) {
  const numbers = [score, cpuMs, stallMs, bytes].map((value) => value.toFixed(1).padStart(9));
  console.log(`${numbers.join(' ')}  ${JSON.stringify(input)}`);
}
server.close();

function ranked(): Found[] {
  return [...worst.values()].toSorted((a, b) => b.score - a.score).slice(0, listed);
}

async function play(input: Input): Promise<Found> {
  const { bytes, calls } = bytesOf(input);
  const hostile = new Hostile(server.port);
  const [line] = await hostile.connect(1, input.reads ? wideOpen : greeting(0));
  const before = await server.work();
  line?.socket.write(bytes);
  let [cpuMs, stallMs, idle] = [0, 0, 0];
  const late = performance.now() + mostMs;
  const isDone = () => line === undefined || line.socket.closed || line.ended >= calls;
  while (idle < (isDone() ? 1 : mostIdle) && server.isAlive() && performance.now() < late) {
    await sleep(askEveryMs);
    const work = await server.work();
    idle = work.cpuMs - before.cpuMs - cpuMs < idleMs ? idle + 1 : 0;
    cpuMs = work.cpuMs - before.cpuMs;
    stallMs = Math.max(stallMs, work.stallMs);
  }
  await hostile.leave();
  const score = cpuMs / Math.max(leastKB, bytes.length / 1024);
  return { input, bytes: bytes.length, cpuMs, stallMs, score };
}

async function start(installed: Program) {
  const path = join(tmpdir(), `greeter-search-${process.pid}-${tried}.sock`);
  const { address, ended, ...served } = await installed.serve([], {
    nodeFlags: ['--import', join(import.meta.dirname, 'search_hook.ts')],
    env: { SEARCH_SOCKET: path, GREETER_ENGINE: 'direct', GREETER_INTEROP: 'on' },
  });
  served.discardLog();
  let isAlive = true;
  void ended.then(() => (isAlive = false));
  const socket = connect(path).on('error', () => {});
  const gone = once(socket, 'close').then((): [string] => ['{"cpuMs":0,"stallMs":0}']);
  return {
    port: Number(address.split(':')[1]),
    isAlive: () => isAlive,
    /** Nothing of a server that is gone. */
    async work(): Promise<Work> {
      socket.write('?');
      const [answer] = await Promise.race([once(socket, 'data'), gone]);
      return JSON.parse(String(answer));
    },
    close: () => socket.destroy(),
  };
}
