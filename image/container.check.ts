// Tests a running image in the conditions of a pod: IMAGE=ARCHIVE node --test --test-timeout=90000
// image/container.check.ts
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createChannel, createClient } from 'nice-grpc';
import { HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';
import { until } from '../test/support/harness.ts';
import { parsePrometheus } from '../test/support/prometheus.ts';
import { type Container, imageUnderTest, podman, serve } from './container.ts';

const image = imageUnderTest();
const podBytes = 256 * 1024 * 1024;
const foreign = process.env['FOREIGN'] || join(homedir(), '.cache/greeter-foreign');

test('a container serves, and its own health command reports it', async () => {
  await using container = await serve(image);
  const { name, port } = container;
  const run = (...args: string[]) => podman('exec', name, ...image.config.Entrypoint, ...args);

  const commit = image.config.Labels['org.opencontainers.image.revision'];
  assert.match(run('--version'), new RegExp(`^greeter \\S+ \\(${commit}\\)$`));
  assert.match(run('health', '-addr', `localhost:${port}`, '-service', 'readiness'), /SERVING/);
  assert.throws(() => run('health', '-addr', `localhost:${port}`, '-service', 'missing'));
});

// The executable runs only greeter.
if (!image.isExe) {
  test('the Node of a container supports every locale', async () => {
    await using container = await serve(image);
    const month = "new Date(0).toLocaleString('de', { month: 'long' })";

    assert.equal(podman('exec', container.name, '/usr/bin/node', '-p', month), 'Januar');
  });
}

test("the kubelet's prober finds a container ready and alive", async () => {
  await using container = await serve(image);
  const flags = ['-host', '127.0.0.1', '-port', `${container.port}`, '-service'];
  const probe = (service: string) =>
    execFileSync(join(foreign, 'bin/kubelet_probe'), [...flags, service], { stdio: 'pipe' });

  for (const service of ['liveness', 'readiness']) probe(service);
  assert.throws(() => probe('missing'), { status: 1 });
});

test('a container runs as process 1 of user 65532, without capabilities, on a read-only root', async () => {
  await using container = await serve(image);
  const status = container.status();
  const mounts = readFileSync(`/proc/${container.pid}/mountinfo`, 'utf8').split('\n');

  assert.match(status.get('NSpid') ?? '', /\t1$/);
  assert.equal(status.get('Uid'), Array(4).fill(65532).join('\t'));
  assert.equal(status.get('Gid'), Array(4).fill(65532).join('\t'));
  assert.equal(status.get('Groups'), '65532');
  for (const set of ['CapEff', 'CapPrm', 'CapBnd', 'CapAmb']) {
    assert.equal(status.get(set), '0000000000000000', set);
  }
  assert.equal(status.get('NoNewPrivs'), '1');
  assert.match(mounts.find((line) => line.includes(' / / ')) ?? '', / \/ \/ ro[, ]/);
});

test('a container shuts down within a second, with exit code 0', async (t) => {
  await using container = await serve(image);

  const askedAt = performance.now();
  process.kill(container.pid, 'SIGTERM');
  await until(() => !existsSync(`/proc/${container.pid}`));
  const ms = performance.now() - askedAt;

  t.diagnostic(`${Math.round(ms)} ms`);
  assert.ok(ms < 1000, `${ms} ms`);
  assert.equal(await container.ended, 0);
});

test('a container starts fast, and uses the compile cache of the image', async (t) => {
  await using container = await serve(image, ['--env', 'NODE_DEBUG_NATIVE=COMPILE_CACHE']);
  const { time } = await container.log.line({ msg: 'listening' });
  const ms = Date.parse(String(time)) - startedAt(container.pid);

  t.diagnostic(`${ms} ms from the start of the process to listening`);
  assert.ok(ms < 1000, `${ms} ms`);
  // The executable has the cache built in.
  if (!image.isExe) assert.match(container.errors(), /V8 code cache for ESM \S+ was accepted/);
});

test('a container limits its heap, and stays below its memory limit after 30,000 calls', async (t) => {
  await using container = await serve(image);
  const heapLimit = await metric(container, 'nodejs_heap_size_limit_bytes');
  const idle = memoryOf(container.pid);
  assert.equal(idle.limit, podBytes);
  assert.ok(heapLimit < 0.7 * podBytes, mib(heapLimit));

  await call(container.port, 30_000);

  const busy = memoryOf(container.pid);
  t.diagnostic(`heap limit ${mib(heapLimit)}`);
  for (const [when, { limit, usage, rss }] of Object.entries({ idle, busy })) {
    t.diagnostic(`${when}: ${mib(usage)} of ${mib(limit)}, RSS ${mib(rss)}`);
  }
  assert.ok(busy.rss < 0.6 * podBytes, mib(busy.rss));
});

/** Milliseconds since the epoch, to 10 ms. */
function startedAt(pid: number): number {
  const afterName = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const [uptime] = readFileSync('/proc/uptime', 'utf8').split(' ');
  return Date.now() - Number(uptime) * 1000 + Number(afterName[19]) * 10;
}

async function metric({ log }: Container, wanted: string): Promise<number> {
  const { port } = await log.line({ msg: 'admin listening' });
  const answer = await fetch(`http://127.0.0.1:${String(port)}/metrics`);
  const sample = parsePrometheus(await answer.text()).find(({ name }) => name === wanted);
  return sample?.value ?? Number.NaN;
}

/** The memory that is charged to the container, its limit, and that of the process, in bytes. */
function memoryOf(pid: number) {
  const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  const [, v1] = /^\d+:memory:(.+)$/m.exec(groups) ?? [];
  const [, v2] = /^0::(.+)$/m.exec(groups) ?? [];
  const folder = v1 ? `/sys/fs/cgroup/memory${v1}` : `/sys/fs/cgroup${v2}`;
  const read = (file: string) => Number(readFileSync(join(folder, file), 'utf8'));
  const [, rss] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return {
    usage: read(v1 ? 'memory.usage_in_bytes' : 'memory.current'),
    limit: read(v1 ? 'memory.limit_in_bytes' : 'memory.max'),
    rss: Number(rss) * 1024,
  };
}

/** Makes calls, a hundred at a time. */
async function call(port: number, calls: number): Promise<void> {
  const channel = createChannel(`127.0.0.1:${port}`);
  const client = createClient(HealthDefinition, channel);
  let left = calls;
  const callInTurn = async () => {
    while (left-- > 0) await client.check({ service: 'readiness' });
  };
  await Promise.all(Array.from({ length: 100 }, callInTurn));
  channel.close();
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
