import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerError, Status } from 'nice-grpc-common';
import { type Running, serve, until } from '../../test/support/harness.ts';
import {
  call,
  failing,
  type Kind,
  kinds,
  paths,
  unending,
  waiting,
} from '../../test/support/kinds.ts';
import { connectRaw, frame } from '../../test/support/raw_client.ts';
import type { EchoRequest } from '../../test/echo/gen/echo.ts';

/** The counts of a path, once its call has ended. */
async function countsOf({ calls }: Running, path: string) {
  const counts = calls.of(path);
  await until(() => counts.handled.some((count) => count > 0));
  const codes = [...counts.handled].flatMap((n, code) => Array<string>(n).fill(`${Status[code]}`));
  const { started, received, sent, service, method, type } = counts;
  return { started, codes, received, sent, service, method, type };
}

/** The logged codes of calls of a path. */
function logged({ log }: Running, path: string): unknown[] {
  return log.lines
    .filter((line) => line['rpc.method'] === path.slice(1))
    .map((line) => line['rpc.status_code']);
}

const types: Record<Kind, string> = {
  unary: 'unary',
  serverStream: 'server_stream',
  clientStream: 'client_stream',
  bidi: 'bidi_stream',
};

/** Every way in which a call ends, by its service or its caller. */
const endings = [
  { code: 'OK' },
  {
    code: 'NOT_FOUND',
    echo: failing(() => new ServerError(Status.NOT_FOUND, 'no')),
  },
  { code: 'INTERNAL', echo: failing(() => new Error('no such table')) },
  { code: 'DEADLINE_EXCEEDED', echo: waiting(), deadlines: { max: 100, fallback: 100 } },
  { code: 'CANCELLED', echo: waiting() },
];

for (const kind of kinds) {
  for (const { code, ...options } of endings) {
    test(`metrics count a ${kind} call that ends with ${code} once, with the logged code`, async () => {
      await using running = await serve(options);
      const requests = code === 'OK' ? undefined : unending();
      const cancel = new AbortController();
      const { signal } = cancel;

      const ended = call(running.client, kind, { signal, ...(requests && { requests }) });
      ended.catch(() => {});
      if (code === 'CANCELLED') {
        await until(() => running.openCalls.inChain === 1);
        cancel.abort();
      }
      await ended.catch(() => {});
      const path = paths[kind];
      await running.log.line({ 'rpc.method': path.slice(1) });

      const { started, codes, type } = await countsOf(running, path);
      assert.deepEqual({ started, codes, type }, { started: 1, codes: [code], type: types[kind] });
      assert.deepEqual(logged(running, path), [code]);
    });
  }
}

test('metrics count request and response messages', async () => {
  await using running = await serve();
  async function* three(): AsyncGenerator<Partial<EchoRequest>> {
    for (const text of ['A', 'B', 'C']) yield { text };
  }

  const counted: Record<string, unknown> = {};
  for (const kind of kinds) {
    await call(running.client, kind, { requests: three() });
    const { received, sent } = await countsOf(running, paths[kind]);
    counted[kind] = [received, sent];
  }

  assert.deepEqual(counted, {
    unary: [1, 1],
    serverStream: [1, 3],
    clientStream: [3, 1],
    bidi: [3, 3],
  });
});

test('metrics count the messages of a stream while it is open', async () => {
  await using running = await serve();
  const counts = running.calls.of(paths.bidi);
  const chat = running.client.bidi(unending())[Symbol.asyncIterator]();

  await chat.next();

  await until(() => counts.sent === 1);
  assert.equal(counts.received, 1);
  assert.equal(counts.handled.indexOf(1), -1);
});

test('metrics count the responses sent before a stream is cancelled, and CANCELLED', async () => {
  await using running = await serve({
    echo: {
      async *serverStream() {
        while (true) yield {};
      },
    },
  });

  for await (const _ of running.client.serverStream({})) break;
  const { codes, sent } = await countsOf(running, paths.serverStream);

  assert.deepEqual(codes, ['CANCELLED']);
  assert.ok(sent > 0);
});

test('metrics count no response of a call that fails', async () => {
  const notFound = () => new ServerError(Status.NOT_FOUND, 'no');
  await using running = await serve({ echo: failing(notFound) });

  await assert.rejects(call(running.client, 'unary'));

  const { received, sent } = await countsOf(running, paths.unary);
  assert.deepEqual({ received, sent }, { received: 1, sent: 0 });
});

/** grpc-js answers these itself, without middleware. */
const onDirect = { engine: 'direct' } as const;

test('metrics count a message that cannot be decoded as INTERNAL, and not as received', async () => {
  await using running = await serve(onDirect);
  const client = await connectRaw(running.address);

  client.open(paths.unary).end(frame(Buffer.from([0xff])));
  const { started, codes, received } = await countsOf(running, paths.unary);
  client.close();

  assert.deepEqual({ started, codes, received }, { started: 1, codes: ['INTERNAL'], received: 0 });
  assert.deepEqual(logged(running, paths.unary), ['INTERNAL']);
});

test('metrics count calls of all unknown methods as one method', async () => {
  await using running = await serve(onDirect);
  const before = running.calls.all().length;
  const client = await connectRaw(running.address);
  const stray = ['/echo.Echo/Nope', '/toString', '/__proto__/x', '/a"b\\/c', '/'];
  const names = [...stray, ...Array.from({ length: 1000 }, (_, i) => `/some.Service${i}/Call`)];

  for (const path of names) client.open(path).end(frame(Buffer.alloc(0)));
  await until(() => running.calls.of('?').handled[Status.UNIMPLEMENTED] === names.length);
  const { started, service, method, type } = await countsOf(running, '?');
  client.close();

  assert.equal(running.calls.all().length, before);
  assert.deepEqual(
    { started, service, method, type },
    { started: names.length, service: 'unknown', method: 'unknown', type: 'unknown' },
  );
});
