import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Status } from 'nice-grpc-common';
import { EchoReply, EchoRequest, ScriptRequest } from './echo/gen/echo.ts';
import { answerTo } from './support/grpc_answer.ts';
import { zipped } from './grpc_attacks/calls.ts';
import { engineName, serve, until } from './support/harness.ts';
import { paths, waiting } from './support/kinds.ts';
import { connectRaw, frame, packed } from './support/raw_client.ts';
import { scriptPaths } from './support/script.ts';

const MiB = 1024 * 1024;
const gzip = { 'grpc-encoding': 'gzip' };

/** A length-delimited field; `tag` has its number and wire type 2. */
function field(tag: number, bytes: Buffer): Buffer {
  const length: number[] = [];
  let left = bytes.length;
  for (; left > 127; left >>>= 7) length.push((left & 127) | 128);
  return Buffer.concat([Buffer.from([tag, ...length, left]), bytes]);
}

/** Methods with strings, and one string field of each. */
const strings: [path: string, wrap: (text: Buffer) => Buffer][] = [
  ...Object.values(paths),
  '/grpc.health.v1.Health/Check',
  '/grpc.health.v1.Health/Watch',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
].map((path) => [path, (text) => field(0x0a, text)]);
for (const path of Object.values(scriptPaths)) {
  strings.push([path, (text) => field(0x1a, field(0x12, text))]);
}
strings.push([
  '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics',
  (text) => field(0x12, text),
]);

/** The status of a call with this message, from headers or trailers. */
async function statusOf(address: string, path: string, body: Buffer, fields = {}) {
  const client = await connectRaw(address);
  const { headers, trailers } = await answerTo(client, { path, body, fields });
  client.close();
  const all = { ...headers, ...trailers };
  const message = decodeURIComponent(String(all['grpc-message'] ?? ''));
  return { code: Number(all['grpc-status']), message };
}

test('a string that is not UTF-8 ends a call of every method with INTERNAL', async () => {
  await using running = await serve();
  const wrong = {
    'a byte that is none': Buffer.from([0xff]),
    'half a character': Buffer.from([0xe6, 0xbc]),
    'a surrogate': Buffer.from([0xed, 0xa0, 0x80]),
    'an overlong NUL': Buffer.from([0xc0, 0x80]),
    'behind many that are': Buffer.concat([Buffer.alloc(1000, 'x'), Buffer.from([0xff])]),
    'nothing but': Buffer.alloc(1000, 0xff),
    'beside what stands for it': Buffer.from(`${'\uFFFD'.repeat(20)}\xFF`, 'latin1'),
  };

  for (const [path, wrap] of strings) {
    for (const [what, text] of Object.entries(wrong)) {
      const { code, message } = await statusOf(running.address, path, frame(wrap(text)));
      assert.equal(code, Status.INTERNAL, `${path}, ${what}`);
      const said =
        engineName === 'direct'
          ? 'Cannot accept a message with a string that is not UTF-8'
          : 'Error deserializing request';
      assert.equal(message, said, `${path}, ${what}`);
    }
  }
});

test('a UTF-8 string is accepted unchanged, whatever its length and contents', async () => {
  await using running = await serve();
  const texts = ['', 'x', '\0', 'é', '\uFEFFx', '\uFFFD', '漢字 😈 é x', '\u{10FFFF}'];

  for (const text of texts) {
    for (const times of [1, 10, 1000]) {
      const sent = { text: text.repeat(times) };
      assert.deepEqual(await running.client.unary(sent), sent);
    }
  }
});

/** Repeats a few bytes to a message of nearly the maximum size. */
function many(...bytes: number[]): Buffer {
  return Buffer.alloc(4 * MiB - 64, Buffer.from(bytes));
}

const counts = Array.from({ length: 100_000 }, (_, i) =>
  field(0x22, field(0x0a, Buffer.from(`${i}`))),
);
const swollen: Record<string, [path: string, message: Buffer]> = {
  'replies that are asked for': [scriptPaths.serverStream, many(0x12, 0)],
  'statuses in place of another': [scriptPaths.unary, many(0x1a, 0)],
  'entries of a map': [scriptPaths.unary, Buffer.concat(counts)],
  'names of costs': ['/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics', many(0x12, 0)],
};

for (const [what, [path, message]] of Object.entries(swollen)) {
  // A server that decodes it would take much longer.
  const options = { timeout: 20_000 };
  test(
    `a message of a few KiB that would become a hundred MiB of ${what} is not decoded`,
    options,
    async () => {
      await using running = await serve();

      const body = packed(gzipSync(message));
      const { code, message: said } = await statusOf(running.address, path, body, gzip);

      if (engineName === 'direct') {
        assert.match(said, /^Cannot accept a message that takes so much memory: at most \d+ bytes/);
        assert.equal(code, Status.RESOURCE_EXHAUSTED);
      } else assert.equal(code, Status.INTERNAL);
    },
  );
}

test('unknown fields are dropped, and groups may be nested 100 deep', async () => {
  await using running = await serve();
  const known = Buffer.from(EchoRequest.encode({ text: 'Hello you' }).finish());
  const groups = (depth: number) =>
    Buffer.concat([
      Buffer.alloc(2 * depth, '\xa3\x06', 'latin1'),
      Buffer.alloc(2 * depth, '\xa4\x06', 'latin1'),
    ]);
  const unknown = {
    numbers: Buffer.alloc(500_000, Buffer.from([0x18, 1])),
    'long numbers': Buffer.from([0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
    'fixed numbers': Buffer.from([0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x1d, 1, 2, 3, 4]),
    bytes: field(0x1a, Buffer.alloc(1000, 0xff)),
    'empty groups': Buffer.alloc(500_000, '\xa3\x06\xa4\x06', 'latin1'),
    'a group with fields': Buffer.from([0xa3, 6, 0x08, 1, 0x12, 1, 0xff, 0xa4, 6]),
    'groups in groups': groups(100),
  };
  const broken = {
    'groups that are deeper': groups(101),
    'a group without an end': Buffer.from([0xa3, 6, 0x08, 1]),
    'a group that ends as another': Buffer.from([0xa3, 6, 0xab, 6, 0xa4, 6, 0xa4, 6]),
    'a field that is cut short': Buffer.from([0x1d, 1, 2]),
    'a wire type that nobody knows': Buffer.from([0x1f]),
  };
  const client = await connectRaw(running.address);

  for (const [what, bytes] of Object.entries(unknown)) {
    const body = frame(Buffer.concat([known, bytes, known]));
    const { messages } = await answerTo(client, { path: paths.unary, body });
    const [reply] = messages.map((message) => EchoReply.decode(message.bytes));
    assert.equal(reply?.text, 'Hello you', what);
  }
  for (const [what, bytes] of Object.entries(broken)) {
    const body = frame(Buffer.concat([known, bytes]));
    const { code } = await statusOf(running.address, paths.unary, body);
    assert.equal(code, Status.INTERNAL, what);
  }
  client.close();
});

test('a message of many small unknown fields is rejected early', async () => {
  await using running = await serve({ engine: 'direct' });
  const tooMany = {
    numbers: Buffer.alloc(4 * MiB - 64, Buffer.from([0x18, 1])),
    groups: Buffer.alloc(4 * MiB - 64, '\xa3\x06\xa4\x06', 'latin1'),
  };

  for (const [what, bytes] of Object.entries(tooMany)) {
    const { code } = await statusOf(running.address, paths.unary, frame(bytes));
    assert.equal(code, Status.RESOURCE_EXHAUSTED, what);
  }
});

test('a message is charged for its decoded size', async () => {
  await using running = await serve({ engine: 'direct', echo: waiting() });
  const client = await connectRaw(running.address);
  const counted = () => running.counts().bufferedBytes ?? 0;
  const name = `${'x'.repeat(MiB)}漢`;

  client.open(paths.unary, gzip).resume().end(zipped(name));
  await until(() => running.openCalls.inChain === 1);
  await client.roundTrip();

  assert.ok(counted() > 2 * MiB && counted() < 2.1 * MiB, `${counted()} bytes`);
  client.close();
});

test('a message that does not fit is rejected before it is fully decoded', async () => {
  const limits = { maxBufferedBytes: 5 * MiB };
  await using running = await serve({ engine: 'direct', limits });
  const largest = { text: `${'x'.repeat(4 * MiB - 20)}漢` };
  const body = frame(EchoRequest.encode(largest).finish());

  const refused = await statusOf(running.address, paths.unary, body);
  const small = await running.client.unary({ text: 'Hello you' });

  assert.deepEqual(refused, {
    code: Status.RESOURCE_EXHAUSTED,
    message: 'Cannot accept this message: too much is buffered',
  });
  assert.equal(small.text, 'Hello you');
});

test('compressed messages are decompressed while their maximum size fits', async () => {
  const limits = { maxBufferedBytes: 6 * MiB };
  await using running = await serve({ engine: 'direct', echo: waiting(), limits });
  const clients = await Promise.all(Array.from({ length: 10 }, () => connectRaw(running.address)));
  const body = zipped('x'.repeat(4 * MiB - 64));
  let most = 0;
  const refused = () => {
    most = Math.max(most, running.counts().bufferedBytes ?? 0);
    return running.log.lines.filter((line) => line['rpc.status_code'] === 'RESOURCE_EXHAUSTED')
      .length;
  };

  for (const client of clients) {
    client.open(paths.unary, gzip).resume().end(body);
    await client.roundTrip();
  }
  await until(() => refused() + running.openCalls.inChain === 10);

  assert.ok(most < 6 * MiB, `${most} bytes`);
  assert.equal(running.openCalls.inChain, 1);
  for (const client of clients) client.close();
});

test('a status message of 4 MiB is truncated to what a header field can hold', async () => {
  await using running = await serve();
  const request = (message: string) =>
    ScriptRequest.fromPartial({ status: { code: Status.NOT_FOUND, message } });

  for (const character of ['x', '漢', '\n']) {
    const message = character.repeat(Math.floor((4 * MiB - 100) / Buffer.byteLength(character)));
    const bytes = ScriptRequest.encode(request(message)).finish();
    const body = packed(gzipSync(bytes));
    const got = await statusOf(running.address, scriptPaths.unary, body, gzip);

    assert.equal(got.code, Status.NOT_FOUND);
    assert.ok(got.message.length > 400 && got.message.length <= 4096, character);
  }
});
