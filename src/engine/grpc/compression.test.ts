import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { answerTo } from '../../../test/support/grpc_answer.ts';
import { serve, type ServeOptions } from '../../../test/support/harness.ts';
import { paths } from '../../../test/support/kinds.ts';
import { connectRaw, frame, packed } from '../../../test/support/raw_client.ts';
import { EchoRequest } from '../../../test/echo/gen/echo.ts';
import { letGo } from '../buffers.ts';
import { decompress, withCompressionSlot } from './compression.ts';

const takesGzip = { 'grpc-accept-encoding': 'identity, gzip' };
const bello = EchoRequest.encode({ text: 'Bello Keys' }).finish();

/** The response of a direct server to requests with the text Bello Keys. */
async function play(
  options: ServeOptions,
  call: { path: string; body?: Buffer; fields?: Record<string, string> },
) {
  await using running = await serve({ engine: 'direct', ...options });
  const client = await connectRaw(running.address);
  const answer = await answerTo(client, { body: frame(bello), ...call });
  client.close();
  return answer;
}

/** An echo service whose response has a text of so many bytes. */
const replyOf = (length: number) => ({
  async unary() {
    return { text: 'x'.repeat(length) };
  },
});

test('context.compression says for each message of a stream whether it was compressed', async () => {
  const seen: unknown[] = [];
  const echo: ServeOptions['echo'] = {
    async clientStream(requests, { compression }) {
      for await (const { text } of requests) seen.push(text, compression?.requestCompressed);
      return {};
    },
  };
  const body = Buffer.concat([packed(gzipSync(bello)), frame(bello), packed(gzipSync(bello))]);

  await play({ echo }, { path: paths.clientStream, body, fields: { 'grpc-encoding': 'gzip' } });

  assert.deepEqual(seen, ['Bello Keys', true, 'Bello Keys', false, 'Bello Keys', true]);
});

test('context.compression sets for each message of a stream whether it is compressed', async () => {
  const wanted = [false, true, false, true];
  const echo: ServeOptions['echo'] = {
    async *serverStream(_request, { compression }) {
      for (const each of wanted) {
        if (compression) compression.compressResponses = each;
        yield { text: `${each}` };
      }
    },
  };
  const call = { path: paths.serverStream };

  const taken = await play({ echo }, { ...call, fields: takesGzip });
  const notTaken = await play({ echo }, call);

  assert.equal(taken.headers['grpc-encoding'], 'gzip');
  assert.deepEqual(
    taken.messages.map(({ compressed }) => compressed),
    wanted,
  );
  assert.equal(notTaken.headers['grpc-encoding'], undefined);
  assert.deepEqual(
    notTaken.messages.map(({ compressed }) => compressed),
    wanted.map(() => false),
  );
  assert.deepEqual(
    taken.messages.map(({ bytes }) => bytes),
    notTaken.messages.map(({ bytes }) => bytes),
  );
});

test("a response without a service's choice follows the server's rule, whatever was chosen before", async () => {
  const echo: ServeOptions['echo'] = {
    async *serverStream(_request, { compression }) {
      for (const each of [false, undefined, true]) {
        if (compression) compression.compressResponses = each;
        yield { text: 'x'.repeat(2000) };
      }
    },
  };
  const call = { path: paths.serverStream, fields: takesGzip };

  const off = await play({ echo }, call);
  const on = await play({ echo, limits: { compressResponsesAbove: 1024 } }, call);

  const flags = [off, on].map(({ messages }) => messages.map(({ compressed }) => compressed));
  assert.deepEqual(flags, [
    [false, false, true],
    [false, true, true],
  ]);
});

test('compressResponsesAbove compresses larger responses for clients that accept it', async () => {
  const limits = { compressResponsesAbove: 102 };
  const call = { path: paths.unary, fields: takesGzip };

  const small = await play({ limits, echo: replyOf(100) }, call);
  const large = await play({ limits, echo: replyOf(101) }, call);
  const notTaken = await play({ limits, echo: replyOf(101) }, { path: paths.unary });
  const off = await play({ echo: replyOf(2000) }, call);

  const flags = [small, large, notTaken, off].map(({ messages }) => messages[0]?.compressed);
  assert.deepEqual(flags, [false, true, false, false]);
  assert.equal(notTaken.headers['grpc-encoding'], undefined);
  assert.equal(off.headers['grpc-encoding'], undefined);
});

test('a response of more than 1 KiB is compressed if its request was and the client accepts it', async () => {
  const fields = { 'grpc-encoding': 'gzip' };
  const call = { path: paths.unary, body: packed(gzipSync(bello)) };

  const taken = await play(
    { echo: replyOf(2000) },
    { ...call, fields: { ...fields, ...takesGzip } },
  );
  const notTaken = await play({ echo: replyOf(2000) }, { ...call, fields });

  assert.equal(taken.messages[0]?.compressed, true);
  assert.equal(notTaken.messages[0]?.compressed, false);
});

test('decompress() and letGo() leave no large buffers for the garbage collector', async () => {
  const MiB = 1024 * 1024;
  const bytes = gzipSync(Buffer.alloc(4 * MiB));
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;

  for (let i = 0; i < 10; i++) {
    letGo(await decompress(bytes, { encoding: 'gzip', maxSize: 4 * MiB }));
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }

  assert.ok(most < 2 * MiB, `${most} bytes`);
});

test('letGo() keeps buffers that share their memory', () => {
  const pooled = Buffer.from('pooled');
  const part = Buffer.alloc(100_000, 'x').subarray(1);

  letGo(pooled);
  letGo(part);

  assert.equal(pooled.toString(), 'pooled');
  assert.equal(part.at(-1), 'x'.charCodeAt(0));
});

test('compress() serves small messages beside large ones, and owners in turn', async () => {
  const done: string[] = [];
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const job = (
    owner: { peer: object | undefined },
    bytes: number,
    name: string,
    gate: Promise<void> | undefined,
  ) =>
    withCompressionSlot({
      owner,
      bytes,
      async work() {
        await gate;
        done.push(name);
      },
    });
  const [one, other] = [{ peer: undefined }, { peer: undefined }];
  const large = 1024 * 1024;

  const first = [0, 1, 2].map((i) => job(one, large, `large ${i}`, gates[0]?.promise));
  const second = [3, 4].map((i) => job(one, large, `large ${i}`, gates[1]?.promise));
  const third = job(other, large, 'of the other', gates[1]?.promise);
  // It is also served before queued large ones of the same owner.
  await Promise.all([other, one].map((owner) => job(owner, 1000, 'small', undefined)));
  assert.deepEqual(done, ['small', 'small']);

  gates[0]?.resolve();
  await Promise.all(first);
  gates[1]?.resolve();
  await Promise.all([...second, third]);

  assert.deepEqual(done.slice(5), ['large 3', 'of the other', 'large 4']);
});

test('compress() serves peers in turn, however many connections they have', async () => {
  const done: string[] = [];
  const gate = Promise.withResolvers<void>();
  const job = (peer: object, name: string) =>
    withCompressionSlot({
      owner: { peer },
      bytes: 1000,
      async work() {
        await gate.promise;
        done.push(name);
      },
    });
  const [many, one] = [{}, {}];

  const jobs = Array.from({ length: 10 }, () => job(many, 'many'));
  jobs.push(job(one, 'one'));
  gate.resolve();
  await Promise.all(jobs);

  // Four were going, and one more of the first peer was next.
  assert.ok(done.indexOf('one') <= 5, done.join(', '));
});
