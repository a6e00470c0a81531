// Shows whether the cost of a call grows with the number of open connections and streams: measures the requests
// per second of ten busy connections, and the server's memory, beside a growing number of idle connections or
// open streams. Draws bench/scale.svg.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundled, unaryLoad } from './grpc.mjs';
import { plot } from './plot.mjs';
import { rateOf, startPeer } from './rig.mjs';

const connections = [1, 100, 1000, 9000];
const streams = [1, 100, 1000, 10_000, 100_000];
const streamsEach = 1000;
const warmUps = 4;
const rounds = 3;

/** One point of a curve. */
/** @typedef {{ open: number, rate: number, megabytes: number }} Point */

/** Measures, prints and draws. */
export async function benchScale() {
  const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
  try {
    const command = [process.execPath, await bundled('direct', folder), 'wide'];
    const curves = [
      {
        title: 'idle connections',
        points: await measure(command, connections, (open) => [open, 0]),
      },
      {
        title: 'open streams',
        points: await measure(command, streams, (open) => [
          Math.ceil(open / streamsEach),
          Math.min(open, streamsEach),
        ]),
      },
    ];
    writeFileSync('bench/scale.svg', plot(curves));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * @param {readonly string[]} command
 * @param {readonly number[]} counts
 * @param {(open: number) => [connections: number, streamsEach: number]} toHold
 */
async function measure(command, counts, toHold) {
  const server = await startPeer({ name: 'direct', command });
  /** @type {Point[]} */
  const points = [];
  try {
    for (let i = 0; i < warmUps; i++) rateOf(server.port, unaryLoad, 2);
    for (const open of counts) {
      const holder = fork('bench/holder.mjs', [server.port, ...toHold(open)].map(String));
      await once(holder, 'message');
      const rates = Array.from({ length: rounds }, () => rateOf(server.port, unaryLoad, 2));
      const rate = rates.toSorted((a, b) => a - b)[1] ?? Number.NaN;
      const point = { open, rate, megabytes: megabytesOf(server.pid) };
      console.log(
        `scale: ${toHold(open).join(' connections x ')} streams: ${JSON.stringify(point)}`,
      );
      points.push(point);
      const exited = once(holder, 'exit');
      holder.kill();
      await exited;
    }
    return points;
  } finally {
    await server.stop();
  }
}

/** @param {number | undefined} pid */
function megabytesOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024);
}
