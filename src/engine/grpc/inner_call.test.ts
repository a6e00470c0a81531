import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { ServerError, Status } from 'nice-grpc-common';
import { createRouter } from '../../../test/support/engine.ts';
import { MemorySocket } from '../../../test/support/memory_socket.ts';
import { Accounts, type Limited } from '../account.ts';
import { Held } from '../held.ts';
import { valueOf } from '../http2/request_headers.ts';
import { unbounded } from '../scheduler.ts';
import type { WebCallHead } from '../web.ts';
import { openInnerCall } from './inner_call.ts';
import { OpenCalls } from './open_calls.ts';

const head: WebCallHead = { path: '/a.B/C', protocol: 'connect', fields: [] };

/** A server with one method, which streams responses until its call ends. */
function createStreaming(limits: Partial<Limited> = {}) {
  const calls = new OpenCalls();
  const clock = { now: 0 };
  const router = createRouter({ calls, now: () => clock.now });
  router.add({
    path: head.path,
    requestStream: false,
    responseStream: true,
    options: {},
    decode: () => ({}),
    encode: () => new Uint8Array(10),
    chain: [],
    async *handler() {
      for (;;) yield {};
    },
  });
  const account = new Accounts(limits).open(undefined);
  const socket = new MemorySocket('10.0.0.1');
  const place = {
    account,
    flow: unbounded,
    authority: '',
    scheme: 'http',
    streamCost: 0,
    serve: (...about: Parameters<Parameters<typeof openInnerCall>[0]['serve']>) =>
      router.serve(...about, socket),
  };
  return {
    calls,
    clock,
    account,
    open: (about: Partial<WebCallHead>) => openInnerCall(place, { ...head, ...about }),
  };
}

test('a call whose deadline passes while nobody reads its responses ends when its reader leaves', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { calls, clock, account, open } = createStreaming();
  const call = open({ timeout: 1000 });
  void call.write(new Uint8Array(0), { isLast: true });
  for (let turn = 0; turn < 10; turn++) await setImmediate();
  clock.now = 1000;
  t.mock.timers.tick(1000);
  for (let turn = 0; turn < 10; turn++) await setImmediate();

  const before = calls.size;
  call.cancel();
  const after = calls.size;

  assert.deepEqual([before, after, account.bytes], [1, 0, 0]);
});

test('a call that was refused for another reason keeps that status when memory is short', async () => {
  const { account, open } = createStreaming({ bytes: 1 });
  account.charge(Held.bodies, 100);

  const call = open({ fault: new ServerError(Status.UNIMPLEMENTED, 'no') });
  call.end();
  while (await call.next());

  assert.equal(valueOf(call.trailer, 'grpc-status'), String(Status.UNIMPLEMENTED));
});
