import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Metadata, Status } from 'nice-grpc-common';
import { serve, until } from '../../test/harness.ts';
import { call, kinds, paths, unending, waiting } from '../../test/kinds.ts';
import { HealthDefinition } from '../gen/grpc/health/v1/health.ts';

/** A deadline as it stands on the wire; nice-grpc's client has no way to send one. */
function timeout(text: string) {
  return { metadata: Metadata({ 'grpc-timeout': text }) };
}

const late = { code: Status.DEADLINE_EXCEEDED };

for (const kind of kinds) {
  test(`deadline() ends a ${kind} call without a deadline after the default`, async () => {
    const deadlines = { max: 60_000, fallback: 20 };
    await using running = await serve({ greet: waiting(), deadlines });

    await assert.rejects(call(running.client, kind, { requests: unending() }), late);

    await running.log.line({ rpc: paths[kind], code: 'DEADLINE_EXCEEDED' });
    await until(() => running.drain.open() === 0);
  });

  test(`deadline() shortens what the caller of a ${kind} call allows`, async () => {
    const deadlines = { max: 20, fallback: undefined };
    await using running = await serve({ greet: waiting(), deadlines });

    const options = { ...timeout('1H'), requests: unending() };
    await assert.rejects(call(running.client, kind, options), late);

    await running.log.line({ rpc: paths[kind], code: 'DEADLINE_EXCEEDED' });
    await until(() => running.drain.open() === 0);
  });

  test(`deadline() logs DEADLINE_EXCEEDED when the caller's own time for a ${kind} call is over`, async () => {
    await using running = await serve({ greet: waiting() });

    await assert.rejects(
      call(running.client, kind, { ...timeout('50m'), requests: unending() }),
      late,
    );

    await running.log.line({ rpc: paths[kind], code: 'DEADLINE_EXCEEDED' });
    await until(() => running.drain.open() === 0);
  });
}

test('deadline() tells the service when the call must have ended', async () => {
  const seen: (number | undefined)[] = [];
  await using running = await serve({
    deadlines: { max: 60_000, fallback: undefined },
    greet: {
      async sayHello(_request, { deadline }) {
        seen.push(deadline);
        return {};
      },
    },
  });
  const before = Date.now();

  await running.client.sayHello({});
  await running.client.sayHello({}, timeout('30S'));
  await running.client.sayHello({}, timeout('1H'));

  const after = Date.now();
  const [none, own, ours] = seen;
  assert.equal(none, undefined);
  assert.ok(own !== undefined && own >= before + 29_000 && own <= after + 30_000);
  assert.ok(ours !== undefined && ours >= before + 60_000 && ours <= after + 60_000);
});

test('deadline() leaves Health.Watch alone', async () => {
  await using running = await serve({ deadlines: { max: 1, fallback: 1 } });
  const health = createClient(HealthDefinition, running.channel);
  const watch = health.watch({ service: '' })[Symbol.asyncIterator]();
  await watch.next();

  await assert.rejects(call(running.client, 'bidi', { requests: unending() }), late);
  running.state.leaving();

  assert.equal((await watch.next()).done, false);
});
