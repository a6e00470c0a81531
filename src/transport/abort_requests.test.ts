import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAbortError } from 'abort-controller-x';
import { Status } from 'nice-grpc-common';
import { feed, serve, until } from '../../test/support/harness.ts';
import { call, unending } from '../../test/support/kinds.ts';

test('abortRequests() passes whole request streams through', async () => {
  await using running = await serve();
  const [texts, chat] = [feed<{ text: string }>(), feed<{ text: string }>()];
  for (const requests of [texts, chat]) {
    for (const text of ['A', 'B', 'C']) requests.push({ text });
    requests.end();
  }

  const [summary] = await call(running.client, 'clientStream', { requests: texts });
  const replies = await call(running.client, 'bidi', { requests: chat });

  assert.deepEqual(summary, {
    requests: [{ text: 'A' }, { text: 'B' }, { text: 'C' }],
  });
  assert.equal(replies.length, 3);
});

for (const kind of ['clientStream', 'bidi'] as const) {
  test(`abortRequests() rejects a pending read of a ${kind} call when its signal aborts`, async () => {
    const seen: unknown[] = [];
    const watch = async (requests: AsyncIterable<{ text: string }>) => {
      try {
        for await (const { text } of requests) seen.push(text);
      } catch (error) {
        seen.push(isAbortError(error));
        throw error;
      }
      return {};
    };
    await using running = await serve({
      echo: {
        clientStream: watch,
        async *bidi(requests) {
          await watch(requests);
          yield {};
        },
      },
    });
    const cut = call(running.client, kind, { requests: unending() });
    const refused = assert.rejects(cut, { code: Status.UNAVAILABLE });
    await until(() => seen.length === 1);

    void running.openCalls.cut();

    await refused;
    assert.deepEqual(seen, ['A', true]);
  });

  test(`abortRequests() releases a ${kind} call whose service stops reading early`, async () => {
    await using running = await serve({
      echo: {
        async clientStream(requests) {
          for await (const { text } of requests) return { requests: [{ text }] };
          return {};
        },
        async *bidi(requests) {
          for await (const { text } of requests) {
            yield { text };
            return;
          }
        },
      },
    });

    const replies = await call(running.client, kind, { requests: unending() });

    const [first] = kind === 'bidi' ? replies : Object(replies[0]).requests;
    assert.deepEqual(first, { text: 'A' });
    await until(() => running.openCalls.inChain === 0);
  });
}
