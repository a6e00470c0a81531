import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createPeer, word } from '../../../test/support/http2_peer.ts';
import { createBody } from '../../../test/support/web_body.ts';
import { Flag } from '../http2/frames.ts';
import { MemorySocket } from '../../../test/support/memory_socket.ts';
import type { ServeWeb } from '../web.ts';
import { createWebParts } from './web_parts.ts';

/** The peer of a request that is served like this, once the code for it is loaded. */
async function open(serve: ServeWeb) {
  const parts = createWebParts({
    load: async () => serve,
    serve: () => assert.fail('no call is opened'),
    callCost: 0,
    report() {},
  });
  const peer = createPeer();
  const { stream, request } = peer.open(1);
  stream.serve(parts.serveStream(stream, request, new MemorySocket('10.0.0.1')));
  for (let turn = 0; turn < 20; turn++) await setImmediate();
  return peer;
}

test('a refused request that continues ends after a second, even if the timer is early', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const peer = await open(async () => ({ status: 415, fields: [] }));
  const [headers, ...more] = peer.frames();
  assert.equal(headers?.type, 'HEADERS');
  assert.deepEqual(more, []);

  // Node may run a timer some milliseconds too early; this one runs a second too early.
  t.mock.timers.tick(1000);
  await setImmediate();

  const [end] = peer.frames();
  assert.deepEqual([end?.type, end?.flags], ['DATA', Flag.END_STREAM]);
});

test('the body of a response ends if its client has left', async () => {
  const serving = Promise.withResolvers<void>();
  const { body, ended } = createBody();
  const peer = await open(async () => {
    await serving.promise;
    return { status: 200, fields: [], body };
  });

  peer.send('RST_STREAM', { stream: 1, payload: word(8) });
  serving.resolve();

  await ended;
});
