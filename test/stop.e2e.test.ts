import assert from 'node:assert/strict';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthDefinition,
} from '../src/gen/grpc/health/v1/health.ts';
import { ScriptDefinition, ScriptReply } from './echo/gen/echo.ts';
import { feed } from './support/harness.ts';
import {
  callScript,
  ping,
  scriptRequest,
  sizeOf,
  scriptPaths,
  threeReplies,
  unendingPing,
} from './support/script.ts';
import { installEcho } from './support/echo_program.ts';
import type { Served } from './support/program.ts';
import { connectRaw, unframe } from './support/raw_client.ts';
import { dialSocket } from './support/tls.ts';

/** Opens a stream of each kind; returns functions that finish them. */
async function openStreams({ channel }: Served) {
  const client = createClient(ScriptDefinition, channel);
  const [uploads, pings] = [feed<Ping>(), feed<Ping>()];
  const output = client.serverStream(threeReplies(100))[Symbol.asyncIterator]();
  const replies = client.bidi(pings)[Symbol.asyncIterator]();
  const summary = client.clientStream(uploads);
  uploads.push(ping(1));
  pings.push(ping(1));
  // Responses of two calls show that the third, sent between them, has arrived as well.
  await Promise.all([output.next(), replies.next()]);
  return {
    async finish() {
      for (const requests of [uploads, pings]) {
        requests.push(ping(2));
        requests.end();
      }
      const rest = (iterator: AsyncIterator<ScriptReply>) =>
        Array.fromAsync({ [Symbol.asyncIterator]: () => iterator }, sizeOf);
      await summary;
      return { output: await rest(output), replies: await rest(replies) };
    },
  };
}

type Ping = ReturnType<typeof ping>;

for (const name of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
  test(`${name} lets streams of every kind complete, ends a Watch, and exits 0`, async () => {
    using program = installEcho();
    const server = await program.serve();
    const health = createClient(HealthDefinition, server.channel);
    const watch = health.watch({ service: '' })[Symbol.asyncIterator]();
    await watch.next();
    const streams = await openStreams(server);

    server.signal(name);
    await server.log.line({ msg: 'shutting down' });
    const watched = Array.fromAsync({ [Symbol.asyncIterator]: () => watch });
    await assert.rejects(watched, { code: Status.UNAVAILABLE, details: 'Server is shutting down' });
    const rest = await streams.finish();

    assert.deepEqual(rest, { output: [2, 3], replies: [2] });
    assert.deepEqual(await server.ended, { code: 0, err: '' });
    // The Watch is one of them.
    const { served, cut } = await server.log.line({ msg: 'stopped' });
    assert.deepEqual([served, cut], [4, 0]);
  });
}

test('SIGTERM ends a process without open calls, whatever connections are open', async () => {
  using program = installEcho();
  const server = await program.serve(['--drain-timeout', '1h']);
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0';
  for (const said of ['', preface, 'GET / HTTP/1.1\r\n\r\n']) {
    const { socket } = dialSocket(server.address);
    socket.allowHalfOpen = true;
    socket.on('error', () => {}).write(said);
    if (said === preface) await once(socket, 'data');
  }
  await createClient(ScriptDefinition, server.channel).unary({});

  server.signal('SIGTERM');

  assert.deepEqual(await server.ended, { code: 0, err: '' });
});

test('SIGTERM waits for a request in flight, and for a slow reader', async () => {
  using program = installEcho();
  const server = await program.serve();
  const client = await connectRaw(server.address, { initialWindowSize: 0 });
  const request = scriptRequest(ping());
  const [unary, output] = [client.open(scriptPaths.unary), client.open(scriptPaths.serverStream)];
  unary.write(request.subarray(0, 6));
  output.end(scriptRequest(threeReplies(1)));
  await once(output, 'response');

  server.signal('SIGTERM');
  await server.log.line({ msg: 'shutting down' });
  unary.end(request.subarray(6));
  client.settings({ initialWindowSize: 65_535 });
  const replies = await Promise.all([unary, output].map((stream) => buffer(stream)));

  assert.deepEqual(
    replies.map((bytes) => unframe(bytes).map((reply) => sizeOf(ScriptReply.decode(reply)))),
    [[1], [1, 2, 3]],
  );
  assert.deepEqual(await server.ended, { code: 0, err: '' });
});

test('a reader that never reads is cut at the drain timeout', async () => {
  using program = installEcho();
  const server = await program.serve(['--drain-timeout', '50ms']);
  const client = await connectRaw(server.address, { initialWindowSize: 0 });
  const output = client.open(scriptPaths.serverStream);
  output.end(scriptRequest(threeReplies(1)));
  await once(output, 'response');

  server.signal('SIGTERM');

  assert.deepEqual(await server.ended, { code: 1, err: '' });
});

test('calls that are open at the drain timeout end with UNAVAILABLE, and the exit code is 1', async () => {
  using program = installEcho();
  const server = await program.serve(['--drain-timeout', '50ms']);
  const client = createClient(ScriptDefinition, server.channel);
  const chat = client.bidi(unendingPing())[Symbol.asyncIterator]();
  await chat.next();
  const cut = { code: Status.UNAVAILABLE, details: 'Server is shutting down' };
  const left = [
    chat.next(),
    callScript(client, 'serverStream', { pauseMs: 2_000_000 }),
    callScript(client, 'clientStream', { requests: unendingPing() }),
  ].map((each) => assert.rejects(each, cut));
  await callScript(client, 'unary');

  server.signal('SIGTERM');

  await Promise.all(left);
  assert.deepEqual(await server.ended, { code: 1, err: '' });
  await server.log.line({ msg: 'cutting calls', calls: 3 });
  const { served, cut: count } = await server.log.line({ msg: 'stopped' });
  assert.deepEqual([served, count, server.log.lines.at(-1)?.['msg']], [1, 3, 'stopped']);
});

test('for the shutdown delay the server keeps serving, NOT_SERVING in all but liveness', async () => {
  using program = installEcho();
  const server = await program.serve(['--shutdown-delay', '1h']);
  const health = createClient(HealthDefinition, server.channel);
  const client = createClient(ScriptDefinition, server.channel);

  server.signal('SIGTERM');
  await server.log.line({ msg: 'shutting down' });
  const { statuses } = await health.list({});
  const reply = await client.unary(ping(10));

  const serving = Object.entries(statuses).filter(([, s]) => s.status === ServingStatus.SERVING);
  assert.deepEqual(
    serving.map(([name]) => name),
    ['liveness'],
  );
  assert.equal(reply.payload.length, 10);
});

test('at the start of the shutdown delay clients get GOAWAY, and those that reconnect are served', async () => {
  using program = installEcho();
  const server = await program.serve(['--engine', 'direct', '--shutdown-delay', '1h']);
  const before = await connectRaw(server.address);
  const open = before.open(scriptPaths.clientStream);
  await before.roundTrip();

  server.signal('SIGTERM');
  const [code, lastStream] = await once(before.session, 'goaway');
  const came = await connectRaw(server.address);
  let told = 0;
  came.session.on('goaway', () => told++);
  const unary = came.open(scriptPaths.unary);
  unary.end(scriptRequest(ping(10)));
  const [reply] = unframe(await buffer(unary));

  assert.deepEqual([code, lastStream], [0, 2 ** 31 - 1]);
  assert.equal(ScriptReply.decode(reply ?? Buffer.alloc(0)).payload.length, 10);
  assert.equal(told, 0);
  assert.equal(open.closed, false);
  before.close();
  came.close();
});

test('SIGHUP and SIGUSR2 are logged, and cut nothing, before and during a shutdown', async () => {
  using program = installEcho();
  const server = await program.serve();
  const streams = await openStreams(server);
  const ignored = ['SIGHUP', 'SIGUSR2'] as const;

  for (const signal of ignored) {
    server.signal(signal);
    await server.log.line({ signal });
  }
  server.signal('SIGTERM');
  await server.log.line({ msg: 'shutting down' });
  // Signals within half a second count as one.
  await sleep(600);
  for (const signal of ignored) server.signal(signal);
  const rest = await streams.finish();

  assert.deepEqual(rest, { output: [2, 3], replies: [2] });
  assert.deepEqual(await server.ended, { code: 0, err: '' });
});

test('two signals at once count as one; a later one ends the process at once with exit code 1', async () => {
  using program = installEcho();
  const server = await program.serve(['--shutdown-delay', '1h']);

  server.signal('SIGINT');
  server.signal('SIGINT');
  await server.log.line({ msg: 'shutting down' });
  await createClient(HealthDefinition, server.channel).check({ service: 'liveness' });
  // Signals within half a second count as one.
  await sleep(600);
  server.signal('SIGINT');

  assert.deepEqual(await server.ended, { code: 1, err: '' });
});
