import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { ClientError, ServerError, Status } from 'nice-grpc-common';
import { connect } from '../../recipes/connect.ts';
import type { Timed } from '../../src/context.ts';
import { EchoDefinition } from '../echo/gen/echo.ts';
import { serveBehind } from './serve.ts';

type Unary = (text: string, context: Timed) => Promise<string>;

function start(unary: Unary) {
  return serveBehind((server) => server, { unary });
}

/** Makes several calls, one after the other. */
async function replies(address: string, count: number): Promise<string[]> {
  const channel = connect(address);
  const client = createClient(EchoDefinition, channel);
  const all: string[] = [];
  try {
    for (let i = 0; i < count; i++) all.push((await client.unary({})).text);
    return all;
  } finally {
    channel.close();
  }
}

test('connect() spreads calls over all addresses', async () => {
  await using one = await start(async () => 'one');
  await using two = await start(async () => 'two');

  const seen = new Set(await replies(`ipv4:${one.address},${two.address}`, 20));

  assert.deepEqual(seen, new Set(['one', 'two']));
});

test('connect() retries a call that ends with UNAVAILABLE', async () => {
  let calls = 0;
  await using server = await start(async () => {
    calls++;
    if (calls < 3) throw new ServerError(Status.UNAVAILABLE, 'not yet');
    return 'now';
  });

  assert.deepEqual(await replies(server.address, 1), ['now']);
  assert.equal(calls, 3);
});

test('connect() does not retry another status', async () => {
  let calls = 0;
  await using server = await start(async () => {
    calls++;
    throw new ServerError(Status.FAILED_PRECONDITION, 'never');
  });

  await assert.rejects(replies(server.address, 1), (error) => {
    return error instanceof ClientError && error.code === Status.FAILED_PRECONDITION;
  });
  assert.equal(calls, 1);
});

test('connect() gives every call a deadline of 5 s, which the server gets', async () => {
  let left = Number.NaN;
  await using server = await start(async (_text, { deadline = Number.NaN }) => {
    left = deadline - performance.now();
    return '';
  });

  await replies(server.address, 1);

  assert.ok(left > 0 && left <= 5000, `${left} ms`);
});
