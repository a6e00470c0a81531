import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { createChannel, createClient } from 'nice-grpc';
import { HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';

const rounds = 5;

/**
 * Returns the milliseconds from the start of the process to its first answered call, for each engine, and the
 * duration of an empty Node process: the medians of five alternating rounds, after a round that warms up this client.
 *
 * @param {readonly string[]} program the command and its first arguments
 */
export async function startUpTimes(program) {
  const times = { direct: [0], grpcJs: [0], node: [0] };
  for (let round = 0; round <= rounds; round++) {
    times.direct[round] = await firstCallMs(program, 'direct');
    times.grpcJs[round] = await firstCallMs(program, 'grpc-js');
    times.node[round] = bareMs();
  }
  const { direct, grpcJs, node } = times;
  return { direct: median(direct), grpcJs: median(grpcJs), node: median(node) };
}

/** @param {readonly number[]} times */
function median(times) {
  const [, ...measured] = times;
  return Math.round(measured.toSorted((a, b) => a - b)[(rounds - 1) / 2] ?? Number.NaN);
}

function bareMs() {
  const startedAt = performance.now();
  spawnSync(process.execPath, ['-e', '0']);
  return performance.now() - startedAt;
}

/**
 * @param {readonly string[]} program
 * @param {string} engine
 */
async function firstCallMs([file = '', ...first], engine) {
  const startedAt = performance.now();
  const ports = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'];
  const args = [...first, '--engine', engine, ...ports, '--log-format', 'json'];
  const server = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(server, 'exit');
  try {
    const [line] = await once(createInterface({ input: server.stdout }), 'line');
    const channel = createChannel(`127.0.0.1:${JSON.parse(line).port}`);
    await createClient(HealthDefinition, channel).check({});
    const ms = performance.now() - startedAt;
    channel.close();
    return ms;
  } finally {
    server.kill();
    await exited;
  }
}
