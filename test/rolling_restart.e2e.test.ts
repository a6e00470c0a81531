import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Channel, ChannelCredentials } from '@grpc/grpc-js';
import { ClientError, createClient, Status } from 'nice-grpc';
import { ScriptDefinition } from './echo/gen/echo.ts';
import { until } from './support/harness.ts';
import { callScript } from './support/script.ts';
import { kinds } from './support/kinds.ts';
import { installEcho } from './support/echo_program.ts';
import type { Program, Served } from './support/program.ts';

/** The number of concurrent calls of each kind. */
const callsOfEachKind = 4;
/** The minimum number of calls between two restarts. */
const callsBetween = 200;
const restartsOfEach = 3;

/** The service config of the docs, with round_robin and retries. */
const docs = readFileSync(join(import.meta.dirname, '../docs/kubernetes.md'), 'utf8');
const serviceConfig = JSON.parse(/^```json\n([^]*?)\n```$/m.exec(docs)?.[1] ?? '');

/** A channel to all servers; without a retry policy it still retries what no server has seen. */
function dialAll(servers: readonly Served[], { hasPolicy }: { hasPolicy: boolean }): Channel {
  const addresses = servers.map(({ address }) => address).join(',');
  const config = hasPolicy ? serviceConfig : { ...serviceConfig, methodConfig: [] };
  return new Channel(`ipv4:${addresses}`, ChannelCredentials.createInsecure(), {
    'grpc.service_config': JSON.stringify(config),
    'grpc.initial_reconnect_backoff_ms': 100,
  });
}

/** Makes calls continuously until it is stopped; counts their results. */
function startLoad(channel: Channel) {
  const client = createClient(ScriptDefinition, channel);
  const ended: Record<string, number> = { OK: 0 };
  const stopping = new AbortController();
  const lanes = kinds
    .flatMap((kind) => Array.from({ length: callsOfEachKind }, () => kind))
    .map(async (kind) => {
      while (!stopping.signal.aborted) {
        const code = await codeOf(callScript(client, kind, { pauseMs: 5 }));
        ended[code] = (ended[code] ?? 0) + 1;
      }
    });
  return {
    ended,
    async stop() {
      stopping.abort();
      await Promise.all(lanes);
    },
  };
}

async function codeOf(replies: Promise<unknown>): Promise<string> {
  try {
    await replies;
    return 'OK';
  } catch (error) {
    return error instanceof ClientError ? Status[error.code] : String(error);
  }
}

/** As in a rollout, the next server restarts only when this one serves again and the client knows it. */
async function restart(program: Program, server: Served): Promise<Served> {
  server.signal('SIGTERM');
  assert.deepEqual(await server.ended, { code: 0, err: '' });
  const next = await serveAt(program, server.address);
  await next.log.line({ 'rpc.status_code': 'OK' });
  return next;
}

function serveAt(program: Program, address: string): Promise<Served> {
  return program.serve(['--listen', address]);
}

for (const hasPolicy of [true, false]) {
  const name = hasPolicy
    ? 'loses no call of a client with a retry policy'
    : 'fails calls of a client without a retry policy only with UNAVAILABLE';
  test(`a rolling restart under load ${name}`, async (t) => {
    using program = installEcho();
    let servers = await Promise.all([1, 2].map(() => serveAt(program, '127.0.0.1:0')));
    const channel = dialAll(servers, { hasPolicy });
    const load = startLoad(channel);

    for (let round = 0; round < restartsOfEach; round++) {
      for (const server of servers) {
        const before = load.ended['OK'] ?? 0;
        await until(() => (load.ended['OK'] ?? 0) > before + callsBetween);
        const next = await restart(program, server);
        servers = servers.map((other) => (other === server ? next : other));
      }
    }
    await load.stop();
    channel.close();

    t.diagnostic(`calls by code: ${JSON.stringify(load.ended)}`);
    const { OK = 0, ...failed } = load.ended;
    assert.ok(OK > 2 * restartsOfEach * callsBetween);
    if (hasPolicy) assert.deepEqual(failed, {});
    else assert.deepEqual(Object.keys({ UNAVAILABLE: 0, ...failed }), ['UNAVAILABLE']);
    for (const server of servers) {
      server.signal('SIGTERM');
      assert.deepEqual(await server.ended, { code: 0, err: '' });
    }
  });
}
