import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { type CallContext, ServerError, Status } from 'nice-grpc-common';
import { Flag, FrameType, preface, FrameReader } from '../src/engine/http2/frames.ts';
import { createHpackDecoder } from '../src/engine/http2/hpack/decoder.ts';
import { encodeHeaders } from '../src/engine/http2/hpack/encoder.ts';
import { encodeSettings, SettingId } from '../src/engine/http2/settings.ts';
import { EchoDefinition } from './echo/gen/echo.ts';
import { type Running, serve, until } from './support/harness.ts';
import { message } from './grpc_attacks/calls.ts';
import { frameOf } from './support/http2_peer.ts';
import { rpcMethods, paths } from './support/kinds.ts';
import { dialSocket } from './support/tls.ts';

const { END_HEADERS, END_STREAM } = Flag;

/** The received header lists of a stream, and `RST_STREAM CODE`. */
type Heard = (Record<string, string> | string)[];

/** A client that sends any header fields. */
interface Wire extends Disposable {
  /** Makes a call; resolves with what it received. */
  call(fields: readonly string[], how?: CallOptions): Promise<Heard>;
  /** The error code of GOAWAY, if there was one. */
  goAway: () => number | undefined;
}

interface CallOptions {
  body?: Buffer;
  trailers?: readonly string[];
}

/** Connects to a server, with these SETTINGS. */
async function connectWire(
  { address }: Running,
  settings: Parameters<typeof encodeSettings>[0] = [],
): Promise<Wire> {
  const { socket } = dialSocket(address);
  await once(socket, 'connect');
  const hpack = createHpackDecoder({ maxHeaderListSize: 1e6 });
  const streams = new Map<number, Heard>();
  let goAway: number | undefined;
  let lastId = -1;
  const reader = new FrameReader(({ type, flags, streamId, bytes, start, end }) => {
    const heard = streams.get(streamId) ?? [];
    if (type === FrameType.GOAWAY) goAway = bytes.readUInt32BE(start + 4);
    if (type === FrameType.RST_STREAM) heard.push(`RST_STREAM ${bytes.readUInt32BE(start)}`);
    if (type === FrameType.HEADERS) {
      assert.ok(flags & END_HEADERS);
      const { fields } = hpack.decode(bytes.subarray(start, end));
      const pairs = Array.from({ length: fields.length / 2 }, (_, i) =>
        fields.slice(2 * i, 2 * i + 2),
      );
      heard.push(Object.fromEntries(pairs));
    }
    if ((flags & END_STREAM && type <= 1) || type === FrameType.RST_STREAM) ended.add(streamId);
  });
  const ended = new Set<number>();
  reader.read(preface);
  socket.on('error', () => {}).on('data', (bytes: Buffer) => reader.read(bytes));
  const hello = frameOf(FrameType.SETTINGS, 0, 0, encodeSettings(settings));
  socket.write(Buffer.concat([preface, hello]));
  return {
    [Symbol.dispose]: () => void socket.destroy(),
    goAway: () => goAway,
    async call(fields, { body = message('Ann'), trailers } = {}) {
      const id = (lastId += 2);
      const heard: Heard = [];
      streams.set(id, heard);
      const data = frameOf(FrameType.DATA, trailers ? 0 : END_STREAM, id, body);
      const end = trailers ? [headersOf(id, trailers, END_STREAM)] : [];
      // In one write, as Nagle's algorithm would delay each call.
      socket.write(Buffer.concat([headersOf(id, fields, 0), data, ...end]));
      await until(() => ended.has(id) || goAway !== undefined);
      streams.delete(id);
      // A request that is answered early is reset with NO_ERROR.
      return heard.filter((said, i) => i === 0 || said !== 'RST_STREAM 0');
    },
  };
}

/** A header block in frames of the maximum size. */
function headersOf(id: number, fields: readonly string[], flags: number): Buffer {
  const block = encodeHeaders(fields);
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length; at += 16_384) {
    const last = at + 16_384 >= block.length ? END_HEADERS : 0;
    const type = at === 0 ? FrameType.HEADERS : FrameType.CONTINUATION;
    frames.push(frameOf(type, last | (at === 0 ? flags : 0), id, block.subarray(at, at + 16_384)));
  }
  return Buffer.concat(frames);
}

/** The header list of a call. */
function request(path: string, ...more: string[]): string[] {
  const own = [':method', 'POST', ':scheme', 'http', ':path', path, ':authority', 'localhost'];
  return [...own, 'content-type', 'application/grpc', 'te', 'trailers', ...more];
}

/** Fields of 1,000 bytes each, as RFC 9113 section 6.5.2 counts them. */
function kilobytes(count: number): string[] {
  return Array.from({ length: count }, () => ['x-large', '~'.repeat(961)]).flat();
}

function statusOf(heard: Heard): unknown {
  const last = heard.at(-1);
  return typeof last === 'object' ? last['grpc-status'] : last;
}

test('white space around values is accepted: 2,000 calls on one connection', async () => {
  await using running = await serve({ engine: 'direct' });
  using wire = await connectWire(running);
  const path = paths.unary;

  for (let i = 0; i < 2000; i++) {
    const te = i % 2 === 0 ? 'x' : 'te';
    const fields = request(path, 'x-user', i % 3 === 0 ? 'ann ' : '\tann', te, ' Trailers');
    assert.equal(statusOf(await wire.call(fields)), '0');
  }

  assert.equal(wire.goAway(), undefined);
});

test('NUL, CR and LF in any value reset the stream, and the connection continues', async () => {
  await using running = await serve({ engine: 'direct' });
  using wire = await connectWire(running);

  for (const control of ['\0', '\r', '\n']) {
    const path = `${paths.unary}${control}`;
    assert.deepEqual(await wire.call(request(path)), ['RST_STREAM 1']);
    assert.deepEqual(await wire.call(request(paths.unary, 'x', control)), ['RST_STREAM 1']);
    assert.equal(statusOf(await wire.call(request(paths.unary))), '0');
  }
});

test('headers above the limit end their call with RESOURCE_EXHAUSTED, and the connection continues', async () => {
  await using running = await serve({ engine: 'direct' });
  using wire = await connectWire(running);
  const details = 'Cannot accept request headers of more than 16384 bytes';

  for (const count of [20, 200, 900]) {
    for (const path of Object.values(paths)) {
      assert.deepEqual(withoutIds(await wire.call(request(path, ...kilobytes(count)))), [
        {
          ':status': '200',
          'content-type': 'application/grpc',
          'grpc-status': '8',
          'grpc-message': details,
        },
      ]);
      const line = await running.log.line({
        'rpc.method': path.slice(1),
        'rpc.status_code': 'RESOURCE_EXHAUSTED',
      });
      assert.equal(line['msg'], 'call ended');
    }
    assert.equal(statusOf(await wire.call(request(paths.unary))), '0');
  }
  assert.equal(running.calls.of(paths.unary).handled[8], 3);
});

test('headers above the limit are logged with what is known of the call', async () => {
  await using running = await serve({ engine: 'direct' });
  using wire = await connectWire(running);
  const large = kilobytes(20);

  assert.equal(statusOf(await wire.call(request('/echo.Echo/Nope', ...large))), '8');
  assert.equal(statusOf(await wire.call(request(`/${'x'.repeat(20_000)}`))), '8');
  const asked = running.log.lines.map((line) => line['rpc.method_original']);
  assert.deepEqual(asked, ['echo.Echo/Nope', '(unknown)']);

  // A request that is not a gRPC call gets an HTTP status.
  const page = request('/').toSpliced(8, 2, ...large);
  const [answer] = await wire.call(page);
  assert.partialDeepStrictEqual(answer, { ':status': '431', 'content-type': 'text/plain' });
});

test('headers above 1 MiB end the connection', async () => {
  await using running = await serve({ engine: 'direct' });
  using wire = await connectWire(running);

  assert.deepEqual(await wire.call(request(paths.unary, ...kilobytes(2000))), []);
  assert.equal(wire.goAway(), 0xb);
});

test('trailers above the limit end their call with RESOURCE_EXHAUSTED, too', async () => {
  await using running = await serve({ engine: 'direct' });
  using wire = await connectWire(running);

  for (const path of [paths.unary, paths.clientStream]) {
    const heard = await wire.call(request(path), { trailers: kilobytes(20) });
    assert.partialDeepStrictEqual(heard.at(-1), {
      'grpc-status': '8',
      'grpc-message': 'Cannot accept request trailers of more than 16384 bytes',
    });
    await running.log.line({
      'rpc.method': path.slice(1),
      'rpc.status_code': 'RESOURCE_EXHAUSTED',
    });
  }
  assert.equal(statusOf(await wire.call(request(paths.unary), { trailers: ['x', ' '] })), '0');
});

test('a status message that ends with a space arrives unchanged, as a valid field value', async () => {
  await using running = await serve({ engine: 'direct' });
  using wire = await connectWire(running);
  const path = '/echo.Echo/Nope ';
  const nope = { ...EchoDefinition.methods.unary, name: 'Nope ' };
  const client = createClient({ ...EchoDefinition, methods: { nope } }, running.channel);

  const [answer] = await wire.call(request(path));

  assert.partialDeepStrictEqual(answer, {
    'grpc-message': 'Cannot find method /echo.Echo/Nope%20',
  });
  await assert.rejects(client.nope({}), {
    code: Status.UNIMPLEMENTED,
    details: `Cannot find method ${path}`,
  });
});

test('a status message of megabytes is truncated to 4 KiB', async () => {
  const details = '\u00e9'.repeat(4_000_000);
  const unary = () => Promise.reject(new ServerError(Status.ABORTED, details));
  await using running = await serve({ engine: 'direct', echo: { unary } });

  await assert.rejects(running.client.unary({}), {
    code: Status.ABORTED,
    details: '\u00e9'.repeat(682),
  });
});

/** A server whose methods modify their metadata, and then respond. */
function serveWith(touch: (context: CallContext) => void, messages = 1) {
  return serve({
    engine: 'direct',
    echo: {
      async unary(_request, context) {
        touch(context);
        return { text: 'fine' };
      },
      async *serverStream(_request, context) {
        for (let i = 0; i < messages; i++) yield { text: 'fine' };
        touch(context);
      },
    },
  });
}

const internal = { 'grpc-status': '13', 'grpc-message': 'Internal error' };

test('response metadata has no white space around values', async () => {
  await using running = await serveWith(({ header, trailer }) => {
    header.set('x-a', ' a b ');
    trailer.set('x-b', 'c ');
  });
  using wire = await connectWire(running);

  const heard = await wire.call(request(paths.unary));

  assert.partialDeepStrictEqual(heard, [{ 'x-a': 'a b' }, { 'x-b': 'c', 'grpc-status': '0' }]);
});

/** Removes request IDs, which are different for every call. */
function withoutIds(heard: readonly unknown[]): object[] {
  return heard.map((fields) => {
    const { 'x-request-id': _id, ...others }: { 'x-request-id'?: unknown } = Object(fields);
    return others;
  });
}

/** Puts a value into metadata that nice-grpc would reject. */
function spoil({ header, trailer }: CallContext, which: 'header' | 'trailer'): void {
  const metadata = which === 'header' ? header : trailer;
  metadata.set('x-a', 'fine').getAll('x-a')[0] = 'a\r\nb';
}

for (const which of ['header', 'trailer'] as const) {
  test(`a ${which} that HTTP/2 cannot carry ends its call with INTERNAL before anything is sent`, async (t) => {
    const emitWarning = t.mock.method(process, 'emitWarning', () => {});
    await using running = await serveWith((context) => spoil(context, which), 0);
    using wire = await connectWire(running);

    for (const rpc of [paths.unary, paths.serverStream]) {
      for (let i = 0; i < 2; i++) {
        const heard = await wire.call(request(rpc));
        const own = { ':status': '200', 'content-type': 'application/grpc' };
        assert.deepEqual(withoutIds(heard), [{ ...own, ...internal }]);
      }
      const { err } = await running.log.line({
        'rpc.method': rpc.slice(1),
        'rpc.status_code': 'INTERNAL',
        msg: 'call failed',
      });
      assert.match(JSON.stringify(err), /Cannot send metadata ..x-a/);
    }
    // Once for each method.
    assert.equal(emitWarning.mock.callCount(), 2);
  });
}

test('a trailer that HTTP/2 cannot carry ends a stream with INTERNAL after its messages', async (t) => {
  t.mock.method(process, 'emitWarning', () => {});
  await using running = await serveWith((context) => spoil(context, 'trailer'), 2);
  using wire = await connectWire(running);

  const heard = await wire.call(request(paths.serverStream));

  const own = { ':status': '200', 'content-type': 'application/grpc' };
  assert.deepEqual(withoutIds(heard), [own, internal]);
  await running.log.line({ 'rpc.method': rpcMethods.serverStream, 'rpc.status_code': 'INTERNAL' });
});

test('headers above 8,192 bytes end their call with INTERNAL, and trailers are dropped', async (t) => {
  t.mock.method(process, 'emitWarning', () => {});
  const large = 'x'.repeat(8192);
  for (const which of ['header', 'trailer'] as const) {
    await using running = await serveWith((context) => void context[which].set('x-a', large), 0);
    using wire = await connectWire(running);
    const ended = which === 'header' ? internal : { 'grpc-status': '0' };

    for (const rpc of [paths.unary, paths.serverStream]) {
      const heard = await wire.call(request(rpc));
      assert.partialDeepStrictEqual(heard.at(-1), ended);
      assert.ok(!JSON.stringify(heard).includes('xxx'));
    }
  }
});

test('the request ID is left out if the client does not take it, and the call succeeds', async () => {
  await using running = await serveWith(() => {});
  for (const [most, hasId] of [
    [0, false],
    [64, false],
    [200, false],
    [300, true],
  ] as const) {
    using wire = await connectWire(running, [[SettingId.MAX_HEADER_LIST_SIZE, most]]);

    const heard = await wire.call(request(paths.unary));

    assert.equal(statusOf(heard), '0', `${most}`);
    assert.equal('x-request-id' in Object(heard[0]), hasId, `${most}`);
  }
});

test("the client's own header limit is respected, and the status is always sent", async () => {
  await using running = await serveWith(({ header, trailer }) => {
    header.set('x-a', 'x'.repeat(1000));
    trailer.set('x-b', 'x'.repeat(1000));
  });
  for (const [most, status] of [
    [0, '13'],
    [64, '13'],
    [1000, '13'],
    [2000, '0'],
  ] as const) {
    using wire = await connectWire(running, [[SettingId.MAX_HEADER_LIST_SIZE, most]]);

    const heard = await wire.call(request(paths.unary));
    const nope = await wire.call(request('/echo.Echo/Nope'));

    assert.deepEqual([statusOf(heard), statusOf(nope)], [status, '12'], `${most}`);
    assert.equal('x-b' in Object(heard.at(-1)), most === 2000);
    assert.equal('grpc-message' in Object(nope.at(-1)), most >= 1000);
  }
  // The client caused it, so it is logged at info.
  const line = await running.log.line({ 'rpc.status_code': 'INTERNAL' });
  assert.deepEqual(
    [line['level'], line['reason']],
    [30, 'Cannot send response headers: the client takes at most 0 bytes'],
  );
});
