import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { createChannel, createClient } from 'nice-grpc';
import { HelloDefinition } from '../src/gen/hello.ts';

/**
 * Milliseconds from the start of the process to its first answered call: the median of five
 * starts, after one that warms up this client.
 *
 * @param {string} file the built program
 */
export async function startUpMs(file) {
  await firstCallMs(file);
  const times = [];
  for (let round = 0; round < 5; round++) times.push(await firstCallMs(file));
  return Math.round(times.toSorted((a, b) => a - b)[2] ?? Number.NaN);
}

/** @param {string} file */
async function firstCallMs(file) {
  const startedAt = performance.now();
  const args = [file, '--listen', '127.0.0.1:0', '--log-format', 'json'];
  const server = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(server, 'exit');
  try {
    const [line] = await once(createInterface({ input: server.stdout }), 'line');
    const channel = createChannel(`127.0.0.1:${JSON.parse(line).port}`);
    await createClient(HelloDefinition, channel).hello({ value: 'World' });
    const ms = performance.now() - startedAt;
    channel.close();
    return ms;
  } finally {
    server.kill();
    await exited;
  }
}
