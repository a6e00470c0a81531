import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Case } from './case.ts';
import { cases } from './cases.ts';
import { Player } from './play.ts';
import { playRandom, type Servers } from './random.ts';
import { reasons } from './reasons.ts';
import { serveGo, serveNode, serveOurs } from './servers.ts';
import {
  type Difference,
  readDifferences,
  readPage,
  writeDifferences,
  writePage,
} from './table.ts';

/** The program of test/foreign/x_net. Without it, Go's outcomes are taken from the list. */
const program = process.env['X_NET'];
/** `FUZZ_SEED=… FUZZ_SESSIONS=1` repeats a failure. */
const seed = Number(process.env['FUZZ_SEED'] ?? Math.trunc(Date.now() / 1000));
const sessions = Number(process.env['FUZZ_SESSIONS'] ?? 400);
/** The number of concurrent connections. */
const atOnce = 16;

let servers: Servers;
let played: Promise<Map<string, Outcome>> | undefined;

before(async () => {
  servers = { ours: await serveOurs(), node: await serveNode() };
  if (program !== undefined) servers.go = await serveGo(program);
});

after(() => {
  for (const server of Object.values(servers)) server.close();
});

test('the engine answers every case like Node and Go, or as the list says', async () => {
  const known = readDifferences();
  const found: Difference[] = [];
  for (const [name, { ours, node, go: played }] of await outcomes()) {
    const { go, reason = '?' } = known.get(name) ?? { go: node };
    const one = { name, ours, node, go: played ?? go, reason };
    if (ours !== node || ours !== one.go) found.push(one);
  }

  const fresh = found.filter((one) => !isSame(one, known.get(one.name)));
  const stale = [...known.values()].filter(({ name }) => !found.some((one) => one.name === name));
  // Written to be reviewed, given reasons and committed.
  if (fresh.length + stale.length > 0) writeDifferences(found);
  assert.deepEqual({ fresh, stale }, { fresh: [], stale: [] });
  const used = new Set(found.map(({ reason }) => reason));
  assert.deepEqual([...used].toSorted(), Object.keys(reasons).toSorted());
});

test('docs/http2.md shows the list', () => {
  const page = readPage([...readDifferences().values()]);

  // Written to be reviewed and committed.
  if (page.after !== page.before) writePage(page.after);
  assert.ok(page.after === page.before, 'it has been written anew');
});

test('the engine answers random frames like Node and Go, or as the list says', async () => {
  const seeds = Array.from({ length: sessions }, (_, i) => seed + i);
  const deps = { servers, known: readDifferences(), fatal: await fatalCases() };
  await inTurns(seeds, async (each) => {
    const failed = await playRandom(each, deps);
    if (failed !== undefined) assert.fail(`FUZZ_SEED=${each} FUZZ_SESSIONS=1\n${failed}`);
  });
});

interface Outcome {
  ours: string;
  node: string;
  go: string | undefined;
}

/** The outcomes of all cases, by name. */
function outcomes(): Promise<Map<string, Outcome>> {
  played ??= playAll();
  return played;
}

async function playAll(): Promise<Map<string, Outcome>> {
  // In the order of the cases.
  const all = new Map<string, Outcome>(
    cases.map(({ name }) => [name, { ours: '', node: '', go: undefined }]),
  );
  assert.equal(all.size, cases.length);
  await inTurns(cases, async (each) => {
    const [ours, node, go] = await Promise.all([
      play(each, servers.ours.port),
      play(each, servers.node.port),
      servers.go && play(each, servers.go.port),
    ]);
    all.set(each.name, { ours, node, go });
  });
  return all;
}

/** The names of cases that end a connection. */
async function fatalCases(): Promise<ReadonlySet<string>> {
  const isFatal = (outcome = '') => /GOAWAY|closed/.test(outcome);
  const fatal = [...(await outcomes())].filter(
    ([, { ours, node, go }]) => isFatal(ours) || isFatal(node) || isFatal(go),
  );
  return new Set(fatal.map(([name]) => name));
}

async function play({ name, flights, about, ...how }: Case, port: number): Promise<string> {
  const player = new Player(port);
  try {
    if (!how.ungreeted) await player.greet();
    for (const flight of flights) {
      player.take();
      await player.send(flight);
    }
    if (how.finished) await player.finish();
    return player.take(about);
  } catch (cause) {
    throw new Error(`Cannot play ${name}`, { cause });
  } finally {
    player.close();
  }
}

function isSame(one: Difference, other: Difference | undefined): boolean {
  return other?.ours === one.ours && other.node === one.node && other.go === one.go;
}

async function inTurns<T>(list: readonly T[], run: (each: T) => Promise<void>): Promise<void> {
  const rest = list.values();
  const worker = async () => {
    for (const each of rest) await run(each);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
