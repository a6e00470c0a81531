import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { localCertificate } from '../support/certificate.ts';
import { message } from '../grpc_attacks/calls.ts';
import { serve, until } from '../support/harness.ts';
import { paths, waiting } from '../support/kinds.ts';
import { connectRaw } from '../support/raw_client.ts';

test('heldBytes counts what a call holds by category, and nothing once it is over', async () => {
  await using running = await serve({ engine: 'direct', echo: waiting() });
  const held = (category: string) => running.counts().heldBytes?.[category] ?? -1;
  const client = await connectRaw(running.address);
  await client.roundTrip();
  const before = running.counts().heldBytes;

  const unary = client.open(paths.unary, { 'x-long': 'x'.repeat(1000) }, { endStream: false });
  const half = message('x'.repeat(50_000)).subarray(0, 20_000);
  unary.write(half);
  // Including the free capacity of the buffer.
  await until(() => held('bodies') >= half.length && held('bodies') <= 3 * half.length);
  const calls = held('calls');
  const headers = held('headers');
  unary.end(message('x'.repeat(50_000)).subarray(20_000));
  await until(() => held('messages') > 50_000);
  const bodies = held('bodies');
  unary.close();
  await until(() => running.counts().streams === 0);
  await client.roundTrip();

  assert.ok(calls > 1000, `${calls} bytes`);
  assert.ok(headers > 1000, `${headers} bytes`);
  assert.equal(bodies, 0);
  const { connections, calls: left, bodies: more, messages } = running.counts().heldBytes ?? {};
  assert.deepEqual([left, more, messages], [0, 0, 0]);
  assert.equal(connections, before?.['connections']);
  client.close();
  await until(() => running.counts().connections === 0);
  assert.deepEqual(new Set(Object.values(running.counts().heldBytes ?? {})), new Set([0]));
});

test('heldBytes counts the first window of a queued message, and the full reservation of an admitted one', async () => {
  const MiB = 1024 ** 2;
  await using running = await serve({ engine: 'direct', limits: { maxBufferedBytes: 16 * MiB } });
  const held = (category: string) => running.counts().heldBytes?.[category] ?? -1;
  const first = await connectRaw(running.address);
  const second = await connectRaw(running.address);
  const large = message('x'.repeat(3 * MiB));

  first.open(paths.unary, {}, { endStream: false }).write(large.subarray(0, 30_000));
  await until(() => held('messages') + held('bodies') === 3 * large.length);
  const waits = second.open(paths.unary, {}, { endStream: false });
  const trailers = once(waits, 'trailers');
  waits.resume().end(large);
  await until(() => held('bodies') >= 30_000 + 65_535);
  await second.roundTrip();
  const stillWaits = held('bodies');
  const waiting = running.counts().waitingMessages;
  first.close();
  const [{ 'grpc-status': status }] = await trailers;

  // Including the free capacity of the buffer.
  assert.ok(stillWaits < 3 * (30_000 + 65_535), `${stillWaits} bytes`);
  assert.equal(waiting, 1);
  assert.equal(status, '0');
  second.close();
});

test('heldBytes counts handshakes in progress', async () => {
  const { cert, key } = await localCertificate();
  await using running = await serve({ engine: 'direct', tls: { cert, key } });
  const [host = '', port = ''] = running.address.split(':');
  const socket = connect(Number(port), host);

  await until(() => (running.counts().heldBytes?.['handshakes'] ?? 0) > 0);
  socket.destroy();

  await until(() => running.counts().heldBytes?.['handshakes'] === 0);
});
