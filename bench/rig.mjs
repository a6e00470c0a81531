// Measures servers in alternating rounds, with the server on one core and h2load on another. It needs h2load
// (Debian's nghttp2-client) and taskset.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** The duration of one measurement in seconds. */
const seconds = 4;
/** Runs before the measurement, until V8 has compiled the hot code and the previous connections are closed. */
const warmUps = 4;

/**
 * A server program. Its first line of output is JSON with its port. `log` is a file for its output.
 *
 * @typedef {{ name: string, command: readonly string[], log?: string }} Peer
 */

/**
 * The load that h2load generates.
 *
 * @typedef {{
 *   connections: number,
 *   streams: number,
 *   path: string,
 *   body: Buffer,
 *   headers?: readonly string[],
 *   isHttp1?: boolean,
 * }} Load
 */

/**
 * Measures all peers in each round. Returns the requests per second of each peer, by round.
 *
 * @param {readonly Peer[]} peers
 * @param {Load} load
 * @param {number} rounds
 * @returns {Promise<Map<string, number[]>>}
 */
export async function measureAll(peers, load, rounds) {
  /** @type {Map<string, number[]>} */
  const rates = new Map(peers.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const peer of peers) rates.get(peer.name)?.push(await measure(peer, load));
  }
  return rates;
}

/**
 * Returns the median of two peers' ratios per round, which does not depend on the speed of the machine.
 *
 * @param {readonly number[]} rates
 * @param {readonly number[]} others
 */
export function ratio(rates, others) {
  const ratios = rates.map((rate, round) => rate / (others[round] ?? Number.NaN));
  return ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? Number.NaN;
}

/** @param {readonly string[]} args */
export function h2load(args) {
  return execFileSync('taskset', ['-c', '1', 'h2load', ...args], { encoding: 'utf8' });
}

/**
 * Returns the requests per second of a new server.
 *
 * @param {Peer} peer
 * @param {Load} load
 */
async function measure(peer, load) {
  const server = await startPeer(peer);
  try {
    for (let i = 0; i < warmUps; i++) rateOf(server.port, load, 2);
    return rateOf(server.port, load, seconds);
  } catch (error) {
    throw new Error(`Cannot measure ${peer.name}`, { cause: error });
  } finally {
    await server.stop();
  }
}

/**
 * Starts a peer on the first core. Resolves when it listens.
 *
 * @param {Peer} peer
 */
export async function startPeer({ command, log }) {
  const output = log === undefined ? undefined : openSync(log, 'w');
  const server = spawn('taskset', ['-c', '0', ...command], {
    stdio: ['ignore', output ?? 'pipe', 'inherit'],
  });
  const exited = once(server, 'exit');
  const line = server.stdout
    ? String(await once(createInterface({ input: server.stdout }), 'line'))
    : await firstLine(log ?? '');
  return {
    port: JSON.parse(line).port,
    pid: server.pid,
    async stop() {
      server.kill();
      await exited;
      if (output !== undefined) closeSync(output);
    },
  };
}

/**
 * Returns the requests per second of a server. Throws if a request fails.
 *
 * @param {number} port
 * @param {Load} load
 * @param {number} duration in seconds
 */
export function rateOf(port, load, duration) {
  const { connections, streams, path, body, headers = [], isHttp1 = false } = load;
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  try {
    const file = join(folder, 'body');
    writeFileSync(file, body);
    const protocol = isHttp1 ? ['--h1'] : [];
    const flags = [...protocol, '-c', `${connections}`, '-m', `${streams}`, '-d', file];
    const more = headers.flatMap((header) => ['-H', header]);
    const said = h2load([
      '-D',
      `${duration}`,
      ...flags,
      ...more,
      `http://127.0.0.1:${port}${path}`,
    ]);
    const { failed, rate } =
      /(?<rate>[\d.]+) req\/s.*? (?<failed>\d+) failed/s.exec(said)?.groups ?? {};
    if (failed !== '0') throw new Error(`Cannot go on with failed requests: ${said}`);
    return Math.round(Number(rate));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param {string} file */
async function firstLine(file) {
  for (;;) {
    const [line = '', ...more] = readFileSync(file, 'utf8').split('\n');
    if (more.length > 0) return line;
    await sleep(50);
  }
}
