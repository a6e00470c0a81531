import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Channel, createClient } from 'nice-grpc';
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthDefinition,
} from '../src/gen/grpc/health/v1/health.ts';
import { serve, until } from './support/harness.ts';
import { connectRaw, frame, unframe } from './support/raw_client.ts';
import { dialChannel } from './support/tls.ts';

const { UNKNOWN, SERVING, NOT_SERVING } = ServingStatus;

test('watch() sends 1,000 watchers, slow readers included, the last of 100 changes', async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  await using running = await serve();
  const channels = Array.from({ length: 9 }, () =>
    // Channels with equal options share subchannels otherwise.
    dialChannel(running.address, { 'grpc.use_local_subchannel_pool': 1 }),
  );
  const last = new Map<number, ServingStatus | undefined>();
  const cancel = new AbortController();
  const follow = async (channel: Channel, id: number) => {
    const client = createClient(HealthDefinition, channel);
    const watch = client.watch({ service: '' }, { signal: cancel.signal });
    for await (const { status } of watch) last.set(id, status);
  };
  const watchers = channels.flatMap((channel, c) =>
    Array.from({ length: 100 }, (_, i) => follow(channel, 100 * c + i).catch(() => {})),
  );
  const slow = await slowWatchers(running.address, 100);
  await until(() => last.size === 900 && running.openCalls.inChain === 1000);

  for (let flip = 1; flip < 100; flip++) {
    running.state.set('', flip % 2 === 1 ? NOT_SERVING : SERVING);
    // The first changes fill a slow watcher's buffers; later ones come in bursts.
    if (flip < 20 || flip % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  running.state.set('', UNKNOWN);
  slow.read();
  await until(() => [...last.values()].every((status) => status === UNKNOWN));
  await until(() => slow.last().every((status) => status === UNKNOWN));

  cancel.abort();
  await Promise.all(watchers);
  slow.close();
  for (const channel of channels) channel.close();
  await until(() => running.openCalls.inChain === 0);
  assert.deepEqual(warnings, []);
});

/** Watchers on one connection with a window of 0 bytes, which receive nothing before read() is called. */
async function slowWatchers(address: string, count: number) {
  const client = await connectRaw(address, { initialWindowSize: 0 });
  const request = frame(HealthCheckRequest.encode({ service: '' }).finish());
  const received = Array.from({ length: count }, () => {
    const chunks: Buffer[] = [];
    const stream = client.open('/grpc.health.v1.Health/Watch');
    stream.on('data', (chunk: Buffer) => void chunks.push(chunk)).end(request);
    return chunks;
  });
  return {
    read: () => client.settings({ initialWindowSize: 65_535 }),
    last: () => received.map((chunks) => lastStatus(unframe(Buffer.concat(chunks)))),
    close: () => client.close(),
  };
}

function lastStatus(messages: Buffer[]): ServingStatus | undefined {
  const last = messages.at(-1);
  return last && HealthCheckResponse.decode(last).status;
}
