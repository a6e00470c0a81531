import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from './support/harness.ts';
import { createRandom } from './hpack/random.ts';
import { ping, scriptPaths, scriptRequest, threeReplies } from './support/script.ts';
import { installEcho } from './support/echo_program.ts';
import { parsePrometheus, type Sample } from './support/prometheus.ts';
import { frame } from './support/raw_client.ts';
import { connectSoak, type SoakClient } from './support/soak_client.ts';

/** `npm run soak` runs 600 s, CI a tenth of that. */
const seconds = Number(process.env['SOAK_SECONDS'] ?? 2);
/** Memory is not stable in less time. */
const measuresMemory = seconds >= 60;
const liveMemory = join(import.meta.dirname, 'support/live_memory.ts');
const lanes = 16;
const callsOfEachConnection = 20;

const simple = scriptRequest(ping(10));
const input = scriptRequest({ payload: Buffer.alloc(10) });
const pinged = scriptRequest(ping(10));
const end = { end: true };

/** One call of a client; returns the code that the server must count. */
type Play = (client: SoakClient) => Promise<string>;

const plays: readonly [Play, ...Play[]] = [
  sends(scriptPaths.unary, 'OK', simple),
  sends(scriptPaths.serverStream, 'OK', scriptRequest(threeReplies(1))),
  sends(scriptPaths.clientStream, 'OK', Buffer.concat([input, input, input])),
  sends(scriptPaths.bidi, 'OK', Buffer.concat([pinged, pinged])),
  sends('/echo.Script/Nope', 'UNIMPLEMENTED', simple),
  sends(scriptPaths.unary, 'UNIMPLEMENTED', Buffer.alloc(0)),
  sends(scriptPaths.unary, 'INTERNAL', Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff])),
  sends(scriptPaths.bidi, 'INTERNAL', pinged.subarray(0, 7)),
  sends('/grpc.health.v1.Health/Check', 'NOT_FOUND', frame(Buffer.from('\n\x01x'))),
  async function late(client) {
    const id = client.open(scriptPaths.bidi, ['grpc-timeout', '5m']);
    client.send(id, pinged);
    assert.equal(await client.ended(id), 'DEADLINE_EXCEEDED');
    return 'DEADLINE_EXCEEDED';
  },
  async function cancelled(client) {
    const id = client.open(scriptPaths.bidi);
    client.send(id, pinged);
    await client.replied(id);
    client.cancel(id);
    return 'CANCELLED';
  },
  async function takenBack(client) {
    const id = client.open(scriptPaths.unary);
    client.send(id, simple.subarray(0, 7));
    client.cancel(id);
    return 'CANCELLED';
  },
];

function sends(path: string, code: string, body: Buffer): Play {
  return async (client) => {
    const id = client.open(path);
    client.send(id, body, end);
    assert.equal(await client.ended(id), code);
    return code;
  };
}

/** Status codes as Prometheus labels. */
function codeLabel(code: string): string {
  if (code === 'OK') return code;
  if (code === 'CANCELLED') return 'Canceled';
  return code
    .toLowerCase()
    .replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

test(`${seconds} s of calls of all kinds and ends leave nothing, and are counted correctly`, async (t) => {
  using program = installEcho();
  const folder = mkdtempSync(join(tmpdir(), 'soak-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const live = join(folder, 'live');
  writeFileSync(live, '');
  const flags = ['--admin-listen', '127.0.0.1:0'];
  // On grpc-js some of these calls end differently, and are not counted: docs/engines.md.
  const server = await program.serve([...flags, '--engine', 'direct'], {
    env: { LIVE_MEMORY: live },
    nodeFlags: measuresMemory ? ['--import', liveMemory] : [],
  });
  const { port } = await server.log.line({ msg: 'admin listening' });
  // Nothing reads millions of lines, which must not matter either.
  server.stallLog();
  const scrape = async () =>
    parsePrometheus(await (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text());
  const random = createRandom(Number(process.env['SOAK_SEED'] ?? 1));
  const counted: Record<string, number> = {};
  const resident: number[] = [];
  const over = AbortSignal.timeout(seconds * 1000);

  const watching = watch();
  await Promise.all(Array.from({ length: lanes }, lane));
  await watching;
  while (sum(await scrape(), 'greeter_calls_in_flight') > 0) await sleep(10);

  const samples = await scrape();
  const handled = samples.filter(({ name, value }) => name.endsWith('handled_total') && value > 0);
  const told: Record<string, number> = {};
  for (const { labels, value } of handled) {
    const code = labels['grpc_code'] ?? '';
    told[code] = (told[code] ?? 0) + value;
  }
  t.diagnostic(
    `calls by code: ${JSON.stringify(told)}; megabytes resident: ${resident.map(inMegabytes).join(' ')}; ` +
      `kilobytes live: ${lived().map(inKilobytes).join(' ')}`,
  );
  assert.deepEqual(told, counted);
  assert.equal(
    sum(samples, 'grpc_server_started_total'),
    sum(handled, 'grpc_server_handled_total'),
  );
  assert.equal(sum(samples, 'greeter_open_streams'), 0);
  if (measuresMemory) {
    // The amount of garbage is random, so only live memory is compared.
    assertLevel(lived(), { by: 1.05, of: (values) => Math.min(...values) });
    assertLevel(resident, { by: 1.25, of: (values) => Math.max(...values) });
  }

  async function lane(): Promise<void> {
    while (!over.aborted) {
      const client = await connectSoak(server.address);
      for (let i = 0; i < callsOfEachConnection; i++) count(await random.pick(plays)(client));
      // A connection may be closed in the middle of calls.
      const left = random.below(3);
      for (let i = 0; i < left; i++) {
        const id = client.open(scriptPaths.bidi);
        client.send(id, pinged);
        await client.replied(id);
        count('CANCELLED');
      }
      await client.close({ reset: left > 0 });
    }
  }

  function count(code: string): void {
    const label = codeLabel(code);
    counted[label] = (counted[label] ?? 0) + 1;
  }

  async function watch(): Promise<void> {
    while (!over.aborted) {
      const samples = await scrape();
      resident.push(sum(samples, 'process_resident_memory_bytes'));
      if (measuresMemory) await collect();
      await sleep(1000, undefined, { signal: over }).catch(() => {});
    }
  }

  async function collect(): Promise<void> {
    const before = lived().length;
    server.signal('SIGUSR2');
    await eventually('a collection of the garbage', () => lived().length > before);
  }

  function lived(): number[] {
    return readFileSync(live, 'utf8').split('\n').slice(0, -1).map(Number);
  }
});

function sum(samples: readonly Sample[], name: string): number {
  return samples.reduce((all, sample) => all + (sample.name === name ? sample.value : 0), 0);
}

function inMegabytes(bytes: number): number {
  return Math.round(bytes / 1024 ** 2);
}

function inKilobytes(bytes: number): number {
  return Math.round(bytes / 1024);
}

/** After a third of the time to warm up, the last third must not take more than the second. */
function assertLevel(
  bytes: readonly number[],
  { by, of }: { by: number; of: (values: readonly number[]) => number },
): void {
  const third = Math.floor(bytes.length / 3);
  const [before, after] = [of(bytes.slice(third, 2 * third)), of(bytes.slice(-third))];
  assert.ok(after < by * before, `${before} bytes, and then ${after}`);
}
