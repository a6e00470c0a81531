import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRequestReader, type RequestOwner } from './request_reader.ts';

/** The first part of a message of a megabyte. */
const begin = Buffer.concat([Buffer.from([0, 0, 0x10, 0, 0]), Buffer.alloc(200_000)]);

test('a request reader opens the window for the rest of a message once its connection has quota again', () => {
  const waiting: (() => void)[] = [];
  const flow = {
    isSpent: false,
    spend() {},
    wait: (task: () => void) => void waiting.push(task),
  };
  let consumed = 0;
  const entered: AsyncIterator<unknown>[] = [];
  const call = {
    stream: {
      flow,
      keep() {},
      discard() {},
      wait() {},
      consume: (bytes: number) => void (consumed += bytes),
    },
    method: { requestStream: true },
    inUse: { take() {}, reserve() {} },
    maxMessageSize: 4 * 1024 * 1024,
    enter: (messages: AsyncIterator<unknown>) => void entered.push(messages),
    fail: (error: unknown) => assert.fail(String(error)),
  };
  // It has what is asked of it here.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const requests = createRequestReader(call as unknown as RequestOwner);
  requests.begin();

  requests.data(begin);
  flow.isSpent = true;
  void entered[0]?.next();
  const before = consumed;
  flow.isSpent = false;
  for (const task of waiting.splice(0)) task();

  assert.equal(before, 0);
  assert.equal(consumed, begin.length);
});
