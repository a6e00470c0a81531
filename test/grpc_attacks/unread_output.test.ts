import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Flag } from '../../src/engine/http2/frames.ts';
import { eventually, serve } from '../support/harness.ts';
import { block, field, insert } from '../hpack/blocks.ts';
import { greeting, ids } from '../http2_attacks/attacker.ts';
import { headers } from '../http2_attacks/targets.ts';
import { echoedHeader } from '../echo/script.ts';
import { scriptPaths, scriptRequest } from '../support/script.ts';
import { dialSocket } from '../support/tls.ts';
import { data } from './calls.ts';
import { defaultLimits } from '../support/engine.ts';

const { END_STREAM } = Flag;
const { maxUnreadBytes } = defaultLimits;
const maxBufferedBytes = 2 * maxUnreadBytes;
/** Few enough that their requests are not refused. */
const wave = 100;
/** A call that fails on request: nothing of its response waits for a window. */
const body = scriptRequest({ status: { code: 2 } });

/** `:method: POST`, `:scheme: http`. */
const begin = block(field(3), field(6));
/** The first call adds its fields to the dynamic table; each of the next takes three bytes. */
const first = block(
  begin,
  insert(':path', scriptPaths.unary),
  insert('content-type', 'application/grpc'),
  insert(echoedHeader, '~'.repeat(3800)),
);
const next = block(begin, field(64), field(63), field(62));

function echoes(from: number, count: number): Buffer {
  const calls = ids(from + count).slice(from);
  return Buffer.concat(
    calls.flatMap((id) => [
      headers(id, id === 1 ? first : next),
      data(id, body, { flags: END_STREAM }),
    ]),
  );
}

test('echoed metadata waits for a peer that does not read, which is paused, and none is lost', async () => {
  await using running = await serve({ engine: 'direct', limits: { maxBufferedBytes } });
  const { address, incidents, log } = running;
  const { socket } = dialSocket(address);
  using _ = { [Symbol.dispose]: () => void socket.destroy() };
  socket.on('error', () => {}).pause();
  socket.write(Buffer.concat([greeting(), echoes(0, 1)]));

  const held = () => running.counts().bufferedBytes ?? 0;
  let calls = 1;
  await eventually('the first call', () => log.lines.length === calls);
  // Until the kernel's buffers are full.
  while (held() < maxUnreadBytes && calls < 100 * wave) {
    const bytes = echoes(calls, wave);
    assert.ok(bytes.length < 64 * 1024, `${bytes.length} bytes in`);
    socket.write(bytes);
    calls += wave;
    const isSeen = () => log.lines.length >= calls || held() >= maxUnreadBytes;
    await eventually(`${calls} calls, or too many unread`, isSeen);
  }
  // It may be read from in between.
  socket.write(echoes(calls, wave));
  calls += wave;
  await sleep(100);
  const most = held();
  socket.resume();
  await eventually(`${calls} calls`, () => log.lines.length === calls);

  // Two waves may have been read by then, and their header lists come on top.
  assert.ok(most > maxUnreadBytes, `${most} bytes held`);
  assert.ok(most < maxBufferedBytes, `${most} bytes held`);
  assert.deepEqual(incidents, []);
});
