// `node test/fairness/search.ts`: looks for what costs most for the bytes that a peer sends, and prints the ten worst
// inputs by each score: counted work, time of the main thread, in all and in one turn, bytes that are answered, and memory. SEARCH_SECONDS (60)
// bounds it, SEARCH_SEED plays one again: its inputs are the same as long as the scores are. The server is in this
// process, without a network. What is found and not known belongs into worst.test.ts.
import { randomInt } from 'node:crypto';
import { createRandom } from '../hpack/random.ts';
import { greeting } from '../http2_attacks/greeting.ts';
import { goFirst } from './helper.ts';
import { wideOpen } from './hostile.ts';
import { type Costs, costsOf, serveMetered } from './metered.ts';
import { anyInput, bytesOf, changed, type Input } from './search_inputs.ts';

/** An input and its cost. */
interface Found extends Costs {
  input: Input;
  bytes: number;
  score: number;
}

const seconds = Number(process.env['SEARCH_SECONDS'] ?? 60);
const seed = Number(process.env['SEARCH_SEED'] ?? randomInt(2 ** 31));
const listed = 10;
/** Smaller inputs count as so many bytes, as the cost of a connection says nothing about its input. */
const minBytes = 4096;
/** Memory that no input accounts for: compiled code, caches. */
const anyMemory = 256 * 1024;

/** The scores to compare inputs by: per byte, except for memory and CPU time. */
const scores: Record<string, (costs: Costs, bytes: number) => number> = {
  work: ({ work }, bytes) => work / bytes,
  'main thread, µs': ({ cpu }, bytes) => cpu / bytes,
  'uncounted, µs for a unit': ({ cpu, work }) => (cpu < 5000 ? 0 : cpu / work),
  'longest turn, ms': ({ longest }) => longest / 1000,
  out: ({ out }, bytes) => out / bytes,
  'held for what is charged': ({ held, charged }) =>
    Math.max(0, held - anyMemory) / Math.max(charged, anyMemory),
};

goFirst();
console.log(`seed ${seed}, ${seconds} s`);
const random = createRandom(seed);
await using server = await serveMetered();
const { methods } = server;
/** By score, the worst input of each payload, compressed or not. */
const worst = new Map(Object.keys(scores).map((name) => [name, new Map<string, Found>()]));
let tried = 0;
for (const end = performance.now() + seconds * 1000; performance.now() < end; tried++) {
  const names = Object.keys(scores);
  const name = names[random.below(names.length)] ?? '';
  const parents = ranked(name);
  const parent = random.oneIn(3) ? undefined : parents[random.below(parents.length)];
  const input = parent ? changed(random, parent.input, methods) : anyInput(random, methods);
  if (!(await isWorse(input))) continue;
  // The first run includes compilation.
  const { bytes, costs } = await play(input);
  for (const [score, of] of Object.entries(scores)) {
    const found = { ...costs, input, bytes, score: of(costs, Math.max(minBytes, bytes)) };
    const known = worst.get(score);
    if (found.score > (known?.get(keyOf(input))?.score ?? 0)) known?.set(keyOf(input), found);
  }
}
console.log(`${tried} inputs`);
for (const name of worst.keys()) {
  console.log(`${name}; units, µs, of a turn, bytes out, held, charged, bytes in:`);
  for (const { score, work, cpu, longest, out, held, charged, bytes, input } of ranked(name)) {
    const numbers = [work, cpu, longest, out, held, charged, bytes].map((value) =>
      `${value}`.padStart(9),
    );
    console.log(`${score.toFixed(3).padStart(9)}${numbers.join('')}  ${JSON.stringify(input)}`);
  }
}

function ranked(name: string): Found[] {
  const all = [...(worst.get(name)?.values() ?? [])];
  return all.toSorted((a, b) => b.score - a.score).slice(0, listed);
}

async function isWorse(input: Input): Promise<boolean> {
  const { bytes, costs } = await play(input);
  return Object.entries(scores).some(([name, of]) => {
    const known = worst.get(name)?.get(keyOf(input))?.score ?? 0;
    return of(costs, Math.max(minBytes, bytes)) > known;
  });
}

async function play(input: Input): Promise<{ bytes: number; costs: Costs }> {
  const { bytes, calls } = bytesOf(input);
  const { connections } = input;
  const hello = input.reads ? wideOpen : greeting(0);
  const weighs = input.end === 'nothing' || !input.reads;
  const costs = await costsOf(server, { hello, bytes, calls, connections, weighs });
  return { bytes: connections * bytes.length, costs };
}

function keyOf({ payload, isZipped, connections }: Input): string {
  return `${payload} ${isZipped} ${connections > 1}`;
}
