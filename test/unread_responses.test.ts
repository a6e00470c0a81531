import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import { test } from 'node:test';
import { EchoRequest } from './echo/gen/echo.ts';
import { type Running, serve, type ServeOptions } from './support/harness.ts';
import { type Kind, paths } from './support/kinds.ts';
import { connectRaw, frame, type RawClient } from './support/raw_client.ts';

const request = frame(EchoRequest.encode({ text: 'Hello you' }).finish());
const timeout = 20_000;
/** Handlers that return at once, whose responses wait for a window. */
const responding = ['unary', 'serverStream', 'clientStream', 'bidi'] as const;

/** Serves with the direct engine, to a client with this stream window. */
async function serveUnread(window: number, options: ServeOptions = {}) {
  const running = await serve({ engine: 'direct', ...options });
  return { running, client: await connectRaw(running.address, { initialWindowSize: window }) };
}

/** Makes a call and reads nothing; returns the trailers. */
function callUnread(client: RawClient, kind: Kind, fields: Record<string, string> = {}) {
  const stream = client.open(paths[kind], fields);
  stream.end(request);
  return { stream, end: trailersOf(stream) };
}

/** Trailers, or the headers of a response that has nothing else: its call ended before its handler had returned. */
function trailersOf(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders> {
  return new Promise((resolve) => {
    stream.on('trailers', resolve).on('response', (headers) => {
      if ('grpc-status' in headers) resolve(headers);
    });
  });
}

async function codesLogged({ log }: Running, count: number): Promise<unknown[]> {
  const codes = () =>
    log.lines.map((line) => line['rpc.status_code']).filter((code) => code !== undefined);
  while (codes().length < count) await new Promise((resolve) => setImmediate(resolve));
  return codes();
}

for (const kind of responding) {
  test(
    `a ${kind} call whose caller grants no window ends at its deadline`,
    { timeout },
    async () => {
      const { running, client } = await serveUnread(0);
      await using _ = running;

      const calls = Array.from({ length: 20 }, () =>
        callUnread(client, kind, { 'grpc-timeout': '50m' }),
      );
      const ends = await Promise.all(calls.map(({ end }) => end));

      assert.deepEqual(
        ends.map((end) => end['grpc-status']),
        ends.map(() => '4'),
      );
      assert.deepEqual(
        await codesLogged(running, 20),
        ends.map(() => 'DEADLINE_EXCEEDED'),
      );
      assert.equal(running.counts().streams, 0);
      client.close();
    },
  );
}

test(
  "the server's deadline ends a call whose caller grants no window, too",
  { timeout },
  async () => {
    const { running, client } = await serveUnread(0, { deadlines: { max: 50, fallback: 50 } });
    await using _ = running;

    const end = await callUnread(client, 'unary').end;

    assert.equal(end['grpc-status'], '4');
    assert.deepEqual(await codesLogged(running, 1), ['DEADLINE_EXCEEDED']);
    client.close();
  },
);

test('forceShutdown() ends calls whose callers grant no window', { timeout }, async () => {
  const { running, client } = await serveUnread(0);
  await using _ = running;
  const calls = responding.map((kind) => callUnread(client, kind));
  await client.roundTrip();

  running.forceShutdown();
  const ends = await Promise.all(calls.map(({ end }) => end));

  assert.deepEqual(
    ends.map((end) => end['grpc-status']),
    ['14', '14', '14', '14'],
  );
  assert.deepEqual(await codesLogged(running, 4), Array(4).fill('UNAVAILABLE'));
});

test('a caller that resets an unread response is logged as CANCELLED', { timeout }, async () => {
  const { running, client } = await serveUnread(0);
  await using _ = running;
  const { stream } = callUnread(client, 'unary');
  await once(stream, 'response');

  stream.close(constants.NGHTTP2_CANCEL);

  assert.deepEqual(await codesLogged(running, 1), ['CANCELLED']);
  client.close();
});
