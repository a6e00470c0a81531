import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { createClient } from 'nice-grpc';
import { Metadata, Status } from 'nice-grpc-common';
import { serve, until } from '../../test/support/harness.ts';
import { call, kinds, rpcMethods, paths, unending, waiting } from '../../test/support/kinds.ts';
import { connectRaw } from '../../test/support/raw_client.ts';
import { HealthDefinition } from '../gen/grpc/health/v1/health.ts';
import type { ChainDeps } from '../transport/server.ts';

/** A raw grpc-timeout, which nice-grpc's client cannot send. */
function timeout(text: string) {
  return { metadata: Metadata({ 'grpc-timeout': text }) };
}

const late = { code: Status.DEADLINE_EXCEEDED };

for (const kind of kinds) {
  test(`deadline() ends a ${kind} call without a deadline after the default`, async () => {
    const deadlines = { max: 60_000, fallback: 20 };
    await using running = await serve({ echo: waiting(), deadlines });

    await assert.rejects(call(running.client, kind, { requests: unending() }), late);

    await running.log.line({
      'rpc.method': rpcMethods[kind],
      'rpc.status_code': 'DEADLINE_EXCEEDED',
    });
    await until(() => running.openCalls.inChain === 0);
  });

  test(`deadline() shortens a long deadline of a ${kind} call`, async () => {
    const deadlines = { max: 20, fallback: undefined };
    await using running = await serve({ echo: waiting(), deadlines });

    const options = { ...timeout('1H'), requests: unending() };
    await assert.rejects(call(running.client, kind, options), late);

    await running.log.line({
      'rpc.method': rpcMethods[kind],
      'rpc.status_code': 'DEADLINE_EXCEEDED',
    });
    await until(() => running.openCalls.inChain === 0);
  });

  test(`deadline() logs DEADLINE_EXCEEDED when the caller's deadline of a ${kind} call expires`, async () => {
    await using running = await serve({ echo: waiting() });

    await assert.rejects(
      call(running.client, kind, { ...timeout('50m'), requests: unending() }),
      late,
    );

    await running.log.line({
      'rpc.method': rpcMethods[kind],
      'rpc.status_code': 'DEADLINE_EXCEEDED',
    });
    await until(() => running.openCalls.inChain === 0);
  });
}

test('deadline() passes the effective deadline to the service', async () => {
  const seen: (number | undefined)[] = [];
  await using running = await serve({
    deadlines: { max: 60_000, fallback: undefined },
    echo: {
      async unary(_request, { deadline }) {
        seen.push(deadline);
        return {};
      },
    },
  });
  const before = performance.now();

  await running.client.unary({});
  await running.client.unary({}, timeout('30S'));
  await running.client.unary({}, timeout('1H'));

  const after = performance.now();
  const [none, own, ours] = seen;
  assert.equal(none, undefined);
  assert.ok(own !== undefined && own >= before + 29_000 && own <= after + 30_000);
  assert.ok(ours !== undefined && ours >= before + 60_000 && ours <= after + 60_000);
});

/** The maximum delay of a Node timer; Node runs a longer one after 1 ms. */
const longestTimer = 2 ** 31 - 1;

/** An engine that enforces no deadline but the caller's, as grpc-js. */
const withoutTiming: ChainDeps['trace'] = (call, context) =>
  call.next(call.request, { ...context, timing: undefined });

for (const trace of [undefined, withoutTiming]) {
  for (const [asked, max] of [
    ['600H', 60_000],
    ['99999999H', longestTimer + 5000],
  ] as const) {
    const enforcer = trace ? 'the middleware' : 'the engine';
    test(`${enforcer} ends a call with a deadline of ${asked} after ${max} ms, and not before`, async (t) => {
      const clock = mockClock(t);
      await using running = await serve({
        engine: 'direct',
        trace,
        deadlines: { max, fallback: undefined },
        echo: waiting(),
      });
      const client = await connectRaw(running.address);
      clock.begin();
      const stream = client.open(paths.clientStream, { 'grpc-timeout': asked }).resume();
      const answer = once(stream, 'response');
      await until(() => running.openCalls.inChain === 1);
      clock.pass(max - 1);
      await client.roundTrip();
      const open = running.openCalls.inChain;
      // Rounding may delay the engine's timer by a millisecond.
      clock.pass(2);
      const [fields] = await answer;
      client.close();

      assert.equal(open, 1);
      assert.equal(fields['grpc-status'], '4');
    });
  }
}

/** A clock that stands still, for performance.now() and, once it has begun, timers. */
function mockClock(t: TestContext) {
  // With a rounding error: 6000.1 + 60000 - 6000.1 is 60000.00000000001.
  let passed = 0;
  t.mock.method(performance, 'now', () => 6000.1 + passed);
  return {
    begin: () => t.mock.timers.enable({ apis: ['setTimeout'] }),
    pass(ms: number) {
      // A timer that is set meanwhile starts at the end of a tick.
      for (let left = ms; left > 0; left -= longestTimer) {
        passed += Math.min(left, longestTimer);
        t.mock.timers.tick(Math.min(left, longestTimer));
      }
    },
  };
}

test('deadline() does not apply to Health.Watch', async () => {
  await using running = await serve({ deadlines: { max: 1, fallback: 1 } });
  const health = createClient(HealthDefinition, running.channel);
  const watch = health.watch({ service: '' })[Symbol.asyncIterator]();
  await watch.next();

  await assert.rejects(call(running.client, 'bidi', { requests: unending() }), late);
  running.state.shuttingDown();

  assert.equal((await watch.next()).done, false);
});
