import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AbortError } from 'abort-controller-x';
import { ServerError, Status } from 'nice-grpc-common';
import { serve, until } from '../../test/support/harness.ts';
import { call, failing, kinds, rpcMethods, paths } from '../../test/support/kinds.ts';
import { connectRaw, frame } from '../../test/support/raw_client.ts';
import { reasons } from '../engine/grpc/end_reason.ts';

for (const kind of kinds) {
  test(`hideInternalErrors() sends the error of a ${kind} call that its service intended`, async () => {
    const meant = () => new ServerError(Status.ALREADY_EXISTS, 'Cannot add "x": it is there');
    await using running = await serve({ echo: failing(meant) });

    await assert.rejects(call(running.client, kind), {
      code: Status.ALREADY_EXISTS,
      details: 'Cannot add "x": it is there',
    });
  });

  test(`hideInternalErrors() hides an unexpected error of a ${kind} call`, async () => {
    for (const thrown of [new Error('password is 1234'), 'text', undefined, new AbortError()]) {
      await using running = await serve({ echo: failing(() => thrown) });

      await assert.rejects(call(running.client, kind), {
        code: Status.INTERNAL,
        details: 'Internal error',
      });

      await running.log.line({
        'rpc.method': rpcMethods[kind],
        'rpc.status_code': 'INTERNAL',
        level: 50,
      });
    }
  });

  test(`hideInternalErrors() truncates the message of a ${kind} call before it is encoded`, async () => {
    const long = () => new ServerError(Status.NOT_FOUND, '\u{1F608}'.repeat(1024 * 1024));
    await using running = await serve({ echo: failing(long) });

    await assert.rejects(call(running.client, kind), ({ code, details }) => {
      assert.equal(code, Status.NOT_FOUND);
      assert.match(details, /^\u{1F608}{300,2048}$/u);
      return true;
    });
  });

  test(`hideInternalErrors() replaces a lone surrogate in the message of a ${kind} call`, async () => {
    const lone = () => new ServerError(Status.NOT_FOUND, 'no \ud83d here');
    await using running = await serve({ echo: failing(lone) });

    await assert.rejects(call(running.client, kind), {
      code: Status.NOT_FOUND,
      details: 'no \ufffd here',
    });
  });
}

test('hideInternalErrors() replaces an AbortError by the reason for which its call was aborted', async () => {
  let isBegun = false;
  await using running = await serve({
    engine: 'direct',
    echo: {
      async *serverStream() {
        isBegun = true;
        try {
          while (true) yield { text: 'x'.repeat(10_000) };
        } catch {
          throw new AbortError();
        }
      },
    },
  });
  const client = await connectRaw(running.address, { initialWindowSize: 0 });
  client
    .open(paths.serverStream)
    .resume()
    .end(frame(Buffer.alloc(0)));
  await until(() => isBegun);

  running.openCalls.end(reasons.connectionAge());

  const code = 'UNAVAILABLE';
  await running.log.line({
    'rpc.status_code': code,
    level: 30,
    reason: 'Connection has reached its age',
  });
  client.close();
});
