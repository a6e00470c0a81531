import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPeer, trailer } from '../../../test/support/http2_peer.ts';
import { ErrorCode } from '../http2/errors.ts';
import { Flag } from '../http2/frames.ts';
import { encodeSettings, SettingId } from '../http2/settings.ts';
import { Deadlines } from './open_calls.ts';
import { RefusedRequest } from './refusal.ts';

const { END_HEADERS, END_STREAM } = Flag;
const refusal = { status: '415', text: 'no\n' } as const;
const text = Buffer.from(refusal.text).toString('hex');

/** Stream 1 with a refused request that is not complete. */
function refused() {
  const peer = createPeer();
  const clock = { now: 0 };
  const now = () => clock.now;
  const { stream } = peer.open(1);
  stream.serve(new RefusedRequest(stream, refusal, { deadlines: new Deadlines(now), now }));
  const [headers, data, ...more] = peer.frames();
  assert.deepEqual([headers?.type, headers?.flags], ['HEADERS', END_HEADERS]);
  assert.deepEqual([data?.type, data?.flags, data?.payload], ['DATA', 0, text]);
  assert.deepEqual(more, []);
  return { peer, clock };
}

test('a refused request that has ended is answered at once, and its stream closes', () => {
  const { peer } = refused();

  peer.send('DATA', { stream: 1, payload: 'more' });
  assert.deepEqual(peer.frames(), []);

  peer.send('DATA', { stream: 1, flags: END_STREAM, payload: 'the last' });
  const frames = peer.frames().map(({ type, flags }) => [type, flags]);
  assert.deepEqual(frames, [['DATA', END_STREAM]]);
  assert.equal(peer.connection.openStreams, 0);
});

test('a refused request must still follow HTTP/2', () => {
  const { peer } = refused();

  peer.send('DATA', { stream: 1, payload: 'more' });
  peer.frames();
  peer.send('HEADERS', { stream: 1, flags: END_HEADERS, payload: trailer });

  const [reset] = peer.frames();
  assert.equal(reset?.type, 'RST_STREAM');
  assert.equal(Number(`0x${reset?.payload}`), ErrorCode.PROTOCOL_ERROR);
});

test('a refused request that continues is reset after a second', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { peer, clock } = refused();

  clock.now = 999;
  t.mock.timers.tick(999);
  assert.deepEqual(peer.frames(), []);
  clock.now = 1000;
  t.mock.timers.tick(1);

  const frames = peer.frames().map(({ type, flags }) => [type, flags]);
  assert.deepEqual(frames, [
    ['DATA', END_STREAM],
    ['RST_STREAM', 0],
  ]);
  assert.equal(peer.connection.openStreams, 0);
});

test('a refused request whose peer has no window for the answer is reset after a second', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const peer = createPeer();
  const clock = { now: 0 };
  const now = () => clock.now;
  peer.send('SETTINGS', { payload: encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 0]]) });
  const { stream } = peer.open(1, { endStream: true });
  stream.serve(new RefusedRequest(stream, refusal, { deadlines: new Deadlines(now), now }));
  peer.frames();

  clock.now = 1000;
  t.mock.timers.tick(1000);

  const frames = peer.frames().map(({ type, flags }) => [type, flags]);
  assert.deepEqual(frames, [['DATA', END_STREAM]]);
  assert.equal(peer.connection.openStreams, 0);
});
