import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { loadConfig } from '../src/config.ts';
import { HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';
import { ScriptDefinition, ScriptRequest } from './echo/gen/echo.ts';
import { ErrorCode } from '../src/engine/http2/errors.ts';
import { certificate } from './support/certificate.ts';
import { clientHello, handshake } from './support/handshake.ts';
import { eventually, until } from './support/harness.ts';
import { imageEnv } from './support/image_env.ts';
import { reply, scriptPaths, scriptRequest } from './support/script.ts';
import { peakMemory } from './support/memory.ts';
import { installEcho } from './support/echo_program.ts';
import type { Program } from './support/program.ts';
import { packed } from './support/raw_client.ts';
import { mountSecret } from './support/secret.ts';
import { dialHttp2 } from './support/tls.ts';

/** The limit of k8s/base/deployment.yaml, and what its kustomization.yaml sets for it. */
const podMiB = 256;
const podSettings = { GREETER_MAX_BUFFERED_BYTES: '32MiB' };
const calls = 10_000;
const connections = 10;
const handshakes = 6000;
const skip = existsSync('/proc/self/status') ? false : 'needs /proc';

/** Serves in the memory of a pod, with the settings of image and manifests. */
function servePod(program: Program, args: readonly string[] = []) {
  const engine = { GREETER_ENGINE: 'direct' };
  const env = { ...imageEnv(podMiB), ...podSettings, ...engine };
  return program.serve(args, { env });
}

/** In MiB. */
function maxMiB(pid: number): number {
  return peakMemory(pid) / 1024 ** 2;
}

/** The sources, which run for coverage, take more memory than the built file. */
function assertFits(t: TestContext, { command }: Program, pid: number): void {
  const most = maxMiB(pid);
  t.diagnostic(`${Math.round(most)} MiB at most`);
  assert.ok(most < (command.endsWith('.ts') ? 1.25 : 1) * podMiB, `${most} MiB`);
}

/** Opens connections with this stream window; they are closed at the end of the test. */
async function crowd(t: TestContext, address: string, initialWindowSize: number) {
  const sessions: ClientHttp2Session[] = [];
  t.after(() => {
    for (const session of sessions) session.destroy();
  });
  while (sessions.length < connections) {
    const { session } = dialHttp2(address, { initialWindowSize });
    await once(session, 'remoteSettings');
    sessions.push(session);
  }
  return sessions;
}

function open(session: ClientHttp2Session, path: string, more: OutgoingHttpHeaders = {}) {
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc' };
  const stream = session.request({ ...headers, ...more }, { endStream: false });
  return stream.on('error', () => {}).resume();
}

/** Calls back with the status of a call, which may be in its headers. */
function onStatus(stream: ClientHttp2Stream, take: (headers: IncomingHttpHeaders) => void): void {
  for (const event of ['response', 'trailers']) {
    stream.on(event, (headers: IncomingHttpHeaders) => {
      if ('grpc-status' in headers) take(headers);
    });
  }
}

test(
  `${calls} idle calls fit into ${podMiB} MiB, and a call of another client replaces one`,
  { skip },
  async (t) => {
    using program = installEcho();
    const { address, channel, pid } = await servePod(program);
    const sessions = await crowd(t, address, 65_535);

    const ended: IncomingHttpHeaders[] = [];
    for (let i = 0; i < calls / connections; i++) {
      for (const session of sessions) {
        onStatus(open(session, scriptPaths.clientStream), (headers) => void ended.push(headers));
      }
    }

    const client = createClient(ScriptDefinition, channel);
    await eventually('a call to make room', async () => {
      await client.unary({});
      return ended.length > 0;
    });
    await createClient(HealthDefinition, channel).check({});
    for (const headers of ended) {
      assert.equal(headers['grpc-status'], String(Status.RESOURCE_EXHAUSTED));
      assert.match(String(headers['grpc-retry-pushback-ms']), /^\d+$/);
    }
    assertFits(t, program, pid);
  },
);

for (const size of [16, 64]) {
  test(
    `${calls} callers that do not read responses of ${size} KiB take no more than ${podMiB} MiB`,
    { skip },
    async (t) => {
      using program = installEcho();
      const { address, channel, pid } = await servePod(program);
      const sessions = await crowd(t, address, 0);

      await readNothing(sessions, size);
      await createClient(HealthDefinition, channel).check({});
      assertFits(t, program, pid);
    },
  );
}

/** A request of so many bytes, for a reply of as many. */
function echoRequest(size: number): Buffer {
  return scriptRequest({ payload: Buffer.alloc(size, 'x'), replies: [reply(size)] });
}

/** Requests so many KiB in every call, until evicted calls have filled the limit several times. */
async function readNothing(sessions: readonly ClientHttp2Session[], size: number) {
  const body = echoRequest(size * 1024);
  let calmed = 0;
  for (let i = 0; i < calls / connections; i++) {
    for (const session of sessions) {
      const stream = open(session, scriptPaths.unary);
      // Either a status, if it waited for admission, or a reset.
      onStatus(stream, (headers) => {
        if (headers['grpc-status'] === String(Status.RESOURCE_EXHAUSTED)) calmed++;
      });
      stream.on('close', () => {
        if (stream.rstCode === ErrorCode.ENHANCE_YOUR_CALM) calmed++;
      });
      stream.end(body);
    }
  }
  await until(() => calmed >= 2000);
}

test(
  `${calls} calls whose handlers wait with 1 MiB sent in 1 KiB take no more than ${podMiB} MiB`,
  { skip },
  async (t) => {
    using program = installEcho();
    const { address, channel, pid } = await servePod(program);
    const sessions = await crowd(t, address, 2 * 1024 * 1024);
    const request = ScriptRequest.fromPartial({
      payload: Buffer.alloc(1024 * 1024, 'x'),
      replies: [reply(1, { pauseMs: 2_000_000 })],
    });
    const body = packed(gzipSync(ScriptRequest.encode(request).finish()));
    let ended = 0;

    for (let i = 0; i < calls / connections; i++) {
      for (const session of sessions) {
        const stream = open(session, scriptPaths.serverStream, { 'grpc-encoding': 'gzip' });
        stream.on('close', () => ended++).end(body);
      }
    }

    // One in ten has been evicted or refused.
    await until(() => ended >= calls / 10);
    await createClient(HealthDefinition, channel).check({});
    assertFits(t, program, pid);
  },
);

/** The same with TLS, and with a pod's default limits. */
async function serveTlsPod(program: Program) {
  const files = mountSecret({ ...(await certificate()) });
  const flags = {
    'tls-cert-file': files.path('cert'),
    'tls-key-file': files.path('key'),
    'health-listen': 'off',
  };
  const memory = podMiB * 1024 ** 2;
  const { maxConnections, maxHandshakes } = loadConfig({ flags, env: podSettings, memory });
  const limits = { 'max-connections': maxConnections, 'max-handshakes': maxHandshakes };
  const args = Object.entries({ ...flags, ...limits }).map(([name, value]) => `--${name}=${value}`);
  const server = await servePod(program, args);
  return {
    ...server,
    maxConnections,
    port: Number(server.address.split(':')[1]),
    [Symbol.dispose]: () => files[Symbol.dispose](),
  };
}

test(
  `the default number of TLS connections in ${podMiB} MiB leaves room for callers that do not read`,
  { skip },
  async (t) => {
    using program = installEcho();
    using pod = await serveTlsPod(program);
    const sessions: ClientHttp2Session[] = [];
    t.after(() => {
      for (const session of sessions) session.destroy();
    });

    while (sessions.length < pod.maxConnections) {
      const options = { rejectUnauthorized: false, settings: { initialWindowSize: 0 } };
      const session = connectHttp2(`https://${pod.address}`, options).on('error', () => {});
      await once(session, 'remoteSettings');
      sessions.push(session);
    }
    await readNothing(sessions.slice(0, connections), 64);

    assertFits(t, program, pod.pid);
  },
);

test(
  `${handshakes} TLS handshakes that do not end take no more than ${podMiB} MiB, and another client is served`,
  { skip },
  async (t) => {
    using program = installEcho();
    using pod = await serveTlsPod(program);
    const { pid, port } = pod;
    const hello = await clientHello();
    const before = maxMiB(pid);
    const open = new Set<Socket>();
    t.after(() => {
      for (const socket of open) socket.destroy();
    });

    for (let i = 0; i < handshakes; i++) {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      open.add(socket);
      socket.resume().on('close', () => open.delete(socket));
      await once(socket, 'connect');
      // Half of them send nothing at all.
      if (i % 2 === 0) socket.write(hello);
    }
    await eventually('the oldest to be dropped', () => open.size < handshakes / 10);
    const taken = await handshake(port);

    assert.partialDeepStrictEqual(taken, { protocol: 'TLSv1.3' });
    // Dropped handshakes are freed at once.
    t.diagnostic(`${Math.round(maxMiB(pid) - before)} MiB more than before`);
    assert.ok(maxMiB(pid) - before < 64);
    assertFits(t, program, pid);
  },
);
