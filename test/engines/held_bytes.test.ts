import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { localCertificate } from '../support/certificate.ts';
import { message } from '../grpc_attacks/calls.ts';
import { serve, until } from '../support/harness.ts';
import { paths, waiting } from '../support/kinds.ts';
import { usedMemory } from '../support/memory.ts';
import { connectRaw, packed } from '../support/raw_client.ts';

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

test('while a response is not read, it alone is counted and kept in memory', async () => {
  const MiB = 1024 ** 2;
  const calls = 10;
  await using running = await serve({ engine: 'direct' });
  const held = (category: string) => running.counts().heldBytes?.[category] ?? -1;
  const client = await connectRaw(running.address, { initialWindowSize: 0 });
  await client.roundTrip();
  const before = await usedMemory();

  for (let i = 0; i < calls; i++) {
    const call = client.open(paths.unary);
    call.end(message('x'.repeat(2 * MiB)));
    await once(call, 'response');
  }

  assert.equal(held('messages'), 0);
  assert.ok(held('responses') > calls * 2 * MiB);
  const taken = (await usedMemory()) - before;
  assert.ok(taken < 1.5 * held('responses'), `${taken} bytes`);
  client.close();
});

test('messages that are decompressed, and their responses, stay within the limit', async () => {
  const MiB = 1024 ** 2;
  const maxBufferedBytes = 16 * MiB;
  const calls = 30;
  await using running = await serve({ engine: 'direct', limits: { maxBufferedBytes } });
  const client = await connectRaw(running.address, { initialWindowSize: 0 });
  const body = packed(gzipSync(message('x'.repeat(2 * MiB)).subarray(5)));
  let max = 0;

  const responses = Array.from({ length: calls }, () => {
    const call = client.open(paths.unary, { 'grpc-encoding': 'gzip' });
    call.end(body);
    return new Promise((resolve) => {
      call.on('response', (headers) => {
        max = Math.max(max, running.counts().bufferedBytes ?? 0);
        resolve(headers['grpc-status'] ?? 'none yet');
      });
      call.on('close', () => resolve('reset'));
    });
  });
  const statuses = await Promise.all(responses);

  const answered = statuses.filter((status) => status === 'none yet').length;
  assert.ok(answered >= 4, statuses.join());
  assert.equal(statuses.filter((status) => status === '8').length, calls - answered);
  assert.ok(max <= maxBufferedBytes, `${max} bytes`);
  client.close();
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
