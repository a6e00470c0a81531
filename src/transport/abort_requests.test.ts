import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAbortError } from 'abort-controller-x';
import { Status } from 'nice-grpc-common';
import { feed, serve, until } from '../../test/harness.ts';
import { call, unending } from '../../test/kinds.ts';

test('abortRequests() lets whole request streams through as they are', async () => {
  await using running = await serve();
  const [chatty, chat] = [feed<{ name: string }>(), feed<{ name: string }>()];
  for (const requests of [chatty, chat]) {
    for (const name of ['A', 'B', 'C']) requests.push({ name });
    requests.end();
  }

  const [summary] = await call(running.client, 'clientStream', { requests: chatty });
  const replies = await call(running.client, 'bidi', { requests: chat });

  assert.partialDeepStrictEqual(summary, {
    request: [{ name: 'A' }, { name: 'B' }, { name: 'C' }],
  });
  assert.equal(replies.length, 3);
});

for (const kind of ['clientStream', 'bidi'] as const) {
  test(`abortRequests() ends the wait for the next request of a ${kind} call with its signal`, async () => {
    const seen: unknown[] = [];
    const watch = async (requests: AsyncIterable<{ name: string }>) => {
      try {
        for await (const { name } of requests) seen.push(name);
      } catch (error) {
        seen.push(isAbortError(error));
        throw error;
      }
      return {};
    };
    await using running = await serve({
      greet: {
        chattyClientSayHello: watch,
        async *interactiveSayHello(requests) {
          await watch(requests);
          yield {};
        },
      },
    });
    const cut = call(running.client, kind, { requests: unending() });
    const refused = assert.rejects(cut, { code: Status.UNAVAILABLE });
    await until(() => seen.length === 1);

    running.openCalls.cut();

    await refused;
    assert.deepEqual(seen, ['A', true]);
  });

  test(`abortRequests() frees a ${kind} call whose service stops reading early`, async () => {
    await using running = await serve({
      greet: {
        async chattyClientSayHello(requests) {
          for await (const { name } of requests) return { message: name };
          return {};
        },
        async *interactiveSayHello(requests) {
          for await (const { name } of requests) {
            yield { message: name };
            return;
          }
        },
      },
    });

    const replies = await call(running.client, kind, { requests: unending() });

    assert.partialDeepStrictEqual(replies, [{ message: 'A' }]);
    await until(() => running.openCalls.inChain === 0);
  });
}
