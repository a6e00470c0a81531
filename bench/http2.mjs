// The floor: requests a second of a 20-byte echo on src/http2 and on node:http2, one server core,
// the load on another. Figures are ratios of the same round; the machine's own speed is left out.
// Needs h2load (Debian's nghttp2-client) and taskset.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const rounds = 3;
const seconds = 4;
const loads = [
  { connections: 10, streams: 10 },
  { connections: 100, streams: 1 },
];
const servers = { ours: 'test/http2_echo.ts', node: 'bench/node_http2_echo.mjs' };

const folder = mkdtempSync(join(tmpdir(), 'greeter-'));
const body = join(folder, 'body');
writeFileSync(body, 'x'.repeat(20));
try {
  console.log(`node ${process.version}, ${h2load(['--version']).trim()}`);
  for (const load of loads) {
    const ratios = [];
    for (let round = 0; round < rounds; round++) {
      const ours = await measure(servers.ours, load);
      const node = await measure(servers.node, load);
      ratios.push(ours / node);
      console.log(`  ${name(load)}: src/http2 ${ours} requests/s, node:http2 ${node}`);
    }
    const median = ratios.toSorted((a, b) => a - b)[(rounds - 1) / 2] ?? Number.NaN;
    console.log(
      `${name(load)}: src/http2 to node:http2 ${median.toFixed(1)} (median of ${rounds})`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}

/** @param {{ connections: number, streams: number }} load */
function name({ connections, streams }) {
  return `${connections} connections x ${streams} streams`;
}

/**
 * Requests a second of a fresh server.
 *
 * @param {string} file
 * @param {{ connections: number, streams: number }} load
 */
async function measure(file, { connections, streams }) {
  const server = spawn('taskset', ['-c', '0', process.execPath, file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(server, 'exit');
  try {
    const [line] = await once(createInterface({ input: server.stdout }), 'line');
    const url = `http://127.0.0.1:${JSON.parse(line).plain}/`;
    const load = ['-c', `${connections}`, '-m', `${streams}`, '-d', body, url];
    h2load(['-D', '2', ...load]);
    const said = h2load(['-D', `${seconds}`, ...load]);
    const { failed, rate } =
      /(?<rate>[\d.]+) req\/s.*? (?<failed>\d+) failed/s.exec(said)?.groups ?? {};
    if (failed !== '0') throw new Error(`Cannot measure ${file}: ${said}`);
    return Math.round(Number(rate));
  } finally {
    server.kill();
    await exited;
  }
}

/** @param {readonly string[]} args */
function h2load(args) {
  return execFileSync('taskset', ['-c', '1', 'h2load', ...args], { encoding: 'utf8' });
}
