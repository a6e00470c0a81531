import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Status } from 'nice-grpc-common';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { message } from '../grpc_attacks/calls.ts';
import { type Running, serve, until } from '../support/harness.ts';
import { paths } from '../support/kinds.ts';
import { connectRaw } from '../support/raw_client.ts';

const MiB = 1024 ** 2;

/** Makes concurrent bidi calls that each send several texts, one after the response to the other. */
async function chat({ client }: Running, calls: number, count: number, size: number) {
  const sent = { text: 'x'.repeat(size) };
  const one = async () => {
    let answered = 0;
    const requests = async function* requests() {
      for (let i = 0; i < count; i++) yield sent;
    };
    for await (const { text } of client.bidi(requests())) {
      assert.equal(text?.length, size);
      answered++;
    }
    return answered;
  };
  return Promise.all(Array.from({ length: calls }, one));
}

test('streams of more large messages than fit at once all complete', async () => {
  await using running = await serve({ engine: 'direct', limits: { maxBufferedBytes: 16 * MiB } });

  const answered = await chat(running, 20, 4, 500_000);

  assert.deepEqual(answered, Array(20).fill(4));
});

test('a stream is not charged for a large message after it gets the next one', async () => {
  await using running = await serve({ engine: 'direct', limits: { maxBufferedBytes: 16 * MiB } });
  const raw = await connectRaw(running.address, { initialWindowSize: 4 * MiB });
  const stream = raw.open(paths.bidi, {}, { endStream: false });

  stream.resume().write(message('x'.repeat(MiB)));
  await once(stream, 'data');
  // A `for await` loop that waits for the next message still has the large one.
  const counted = running.counts().heldBytes?.['messages'] ?? 0;
  stream.write(message('x'));
  await until(() => running.counts().heldBytes?.['messages'] === 0);

  assert.ok(counted >= MiB, `${counted} bytes`);
  assert.equal(running.counts().streams, 1);
  raw.close();
});

test('a truncated large message fails at once, without waiting for admission', async () => {
  await using running = await serve({ engine: 'direct', limits: { maxBufferedBytes: 16 * MiB } });
  const [holder, other] = [await connectRaw(running.address), await connectRaw(running.address)];
  const large = message('x'.repeat(3 * MiB));
  holder.open(paths.unary, {}, { endStream: false }).write(large.subarray(0, 1000));
  await until(() => (running.counts().heldBytes?.['messages'] ?? 0) > 8 * MiB);

  const cut = other.open(paths.unary, {}, { endStream: false });
  cut.end(large.subarray(0, 1000));
  const [{ 'grpc-status': status }] = await once(cut, 'response');

  assert.equal(status, String(Status.INTERNAL));
  holder.close();
  other.close();
});

test('a stalled large message is evicted for a queued one', async () => {
  await using running = await serve({ engine: 'direct', limits: { maxBufferedBytes: 16 * MiB } });
  const [holder, other] = [await connectRaw(running.address), await connectRaw(running.address)];
  const large = message('x'.repeat(3 * MiB));
  const slow = holder.open(paths.unary, {}, { endStream: false });
  slow.write(large.subarray(0, 1000));
  await until(() => (running.counts().heldBytes?.['messages'] ?? 0) > 8 * MiB);
  const waits = other.open(paths.unary, {}, { endStream: false });
  const trailers = once(waits, 'trailers');
  waits.resume().end(large);
  await until(() => running.counts().waitingMessages === 1);

  const [{ 'grpc-status': ended }] = await trailers;

  assert.equal(ended, '0');
  assert.equal(running.counts().waitingMessages, 0);
  assert.equal(slow.rstCode, ErrorCode.ENHANCE_YOUR_CALM);
  holder.close();
  other.close();
});
