import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { ServerError, Status } from 'nice-grpc-common';
import { EchoDefinition } from '../echo/gen/echo.ts';
import { printable } from '../../src/printable.ts';
import { dial } from '../../src/transport/client.ts';
import { certificate } from '../support/certificate.ts';
import { eventually, type Line, serve } from '../support/harness.ts';
import { call, kinds, rpcMethods, paths } from '../support/kinds.ts';
import { connectRaw, frame } from '../support/raw_client.ts';
import { message } from './calls.ts';

test('the log truncates a long path', async () => {
  await using running = await serve({ engine: 'direct' });
  const client = await connectRaw(running.address);
  client.open(`/${'x'.repeat(10_000)}`).end();

  const line = await running.log.line({ 'rpc.method': '_OTHER' });
  assert.equal(line['rpc.method_original'], 'x'.repeat(199));
  client.close();
});

/** The bytes of a line as src/observability/log.ts writes it. */
const written = (line: Line) => Buffer.byteLength(printable(JSON.stringify(line)));

test('a caller cannot make the log line of its call longer than 800 bytes, including escapes', async () => {
  await using running = await serve({ engine: 'direct' });
  const client = await connectRaw(running.address);
  const long = (text: string) => text.repeat(4000);
  const quotes = { 'x-request-id': '"'.repeat(128) };
  // Single characters that JSON or UTF-8 makes longer.
  for (const text of ['\u00A0', '\u0085', '\u001B', '"', '\u00FF'])
    client.open(`/${long(text)}`, quotes).end();
  client.open(paths.unary, { 'x-request-id': '"'.repeat(128) }).end(message('Keys'));
  client.open(paths.unary, { ...quotes, 'grpc-timeout': long('\u0085') }).end();
  client.open(paths.unary, { ...quotes, 'grpc-encoding': long('\u0085') }).end();
  const trailed = client.open(paths.clientStream, quotes, { waitForTrailers: true });
  trailed.on('wantTrailers', () => trailed.sendTrailers({ 'content-length': long('\u0085') }));
  trailed.end();

  await eventually('a line for each call', () => running.log.lines.length === 9);
  client.close();

  const lengths = running.log.lines.map(written);
  assert.ok(Math.max(...lengths) <= 800, lengths.join(', '));
  const malformed = await running.log.line({ 'rpc.method': rpcMethods.clientStream });
  assert.match(String(malformed['reason']), /^Cannot accept a request with "content-length: /);
});

test('the log truncates the name in a certificate', async () => {
  const [own, signer] = await Promise.all([certificate(), certificate({ name: 'authority' })]);
  const uri = `spiffe://example.org/${'"'.repeat(1000)}`;
  const pair = await certificate({ uris: [uri], signer });
  await using running = await serve({
    engine: 'direct',
    tls: { ...own, clientCa: signer.cert },
  });
  const clientCertificate = { cert: Buffer.from(pair.cert), key: Buffer.from(pair.key) };
  const tls = { ca: Buffer.from(own.cert), clientCertificate };
  const channel = dial({ address: running.address, tls });

  await createClient(EchoDefinition, channel).unary({});
  channel.close();

  const line = await running.log.line({ 'rpc.method': rpcMethods.unary });
  assert.ok(uri.startsWith(String(line['client'])) && String(line['client']).length > 100);
  assert.ok(written(line) <= 800, `${written(line)}`);
});

test('errors of the caller are logged at info, with a reason and no stack, even if gRPC calls them INTERNAL', async () => {
  await using running = await serve({ engine: 'direct' });
  const client = await connectRaw(running.address);
  const whole = message('Keys');
  const wrongs = [
    [paths.unary, whole.subarray(0, 4), 'Cannot accept a message that is cut short'],
    [
      paths.serverStream,
      Buffer.concat([Buffer.from([2]), whole.subarray(1)]),
      'Cannot accept a message with the flags 2',
    ],
    [paths.clientStream, whole.subarray(0, 8), 'Cannot accept a message that is cut short'],
    [paths.bidi, frame(Buffer.from([0xff])), 'Cannot accept a message that cannot be decoded'],
  ] as const;
  for (const [path, body] of wrongs) client.open(path).resume().end(body);

  for (const [path, , reason] of wrongs) {
    const line = await running.log.line({ 'rpc.method': path.slice(1) });
    assert.partialDeepStrictEqual(line, {
      'rpc.status_code': 'INTERNAL',
      level: 30,
      msg: 'call ended',
      reason,
    });
    assert.equal('err' in line, false);
  }
  client.close();
});

test('the log has the reason of every refusal by the engine', async () => {
  const limits = { maxHeaderSize: 4096, maxBufferedBytes: 1024 ** 2 };
  await using running = await serve({ engine: 'direct', limits, maxMessageSize: 1024 });
  const client = await connectRaw(running.address);
  const whole = message('Keys');
  client.open(paths.unary, { 'x-long': 'x'.repeat(5000) }).end(whole);
  client.open(paths.unary, { 'grpc-encoding': 'brotli' }).end(whole);
  client.open(paths.unary).end(frame(Buffer.alloc(1025)));
  client.open(paths.unary).end(Buffer.concat([whole, whole]));
  client.open('/echo.Echo/Sing').end(whole);
  client.open(paths.clientStream, { 'grpc-timeout': '1m' });

  await eventually('a line for each call', () => running.log.lines.length === 6);
  client.close();

  const reasons = running.log.lines.map(
    (line) => `${String(line['rpc.status_code'])}: ${String(line['reason'])}`,
  );
  assert.deepEqual(reasons.toSorted(), [
    'DEADLINE_EXCEEDED: Deadline exceeded',
    'RESOURCE_EXHAUSTED: Cannot accept a message of more than 1024 bytes',
    'RESOURCE_EXHAUSTED: Cannot accept request headers of more than 4096 bytes',
    'UNIMPLEMENTED: Cannot accept messages compressed with "brotli"',
    'UNIMPLEMENTED: Cannot find method /echo.Echo/Sing',
    'UNIMPLEMENTED: Expected exactly one request message, got several',
  ]);
});

test('a call that is cut while its response is compressed ends with the logged status', async () => {
  await using running = await serve({
    engine: 'direct',
    echo: {
      async unary(_request, { abort }) {
        setImmediate(abort, new ServerError(Status.ABORTED, 'too late'));
        return { text: 'x'.repeat(1_000_000) };
      },
    },
  });
  const session = connect(`http://${running.address}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': paths.unary,
    'content-type': 'application/grpc',
    'grpc-encoding': 'gzip',
    'grpc-accept-encoding': 'gzip',
  });
  stream.resume().end(message('Keys'));

  const [trailers] = await once(stream, 'trailers');
  const lines = running.log.lines.map((line) => line['rpc.status_code']);
  session.destroy();

  assert.equal(trailers['grpc-status'], String(Status.ABORTED));
  assert.deepEqual(lines, ['ABORTED']);
});

/** A response for each kind of call that cannot be encoded. */
const unencodable = {
  get text(): string {
    throw new TypeError('no text');
  },
  get requests(): [] {
    throw new TypeError('no text');
  },
};

for (const kind of kinds) {
  test(`the log has INTERNAL and the reason if the response of a ${kind} call cannot be encoded`, async (t) => {
    t.mock.method(process, 'emitWarning', () => {});
    const one = async () => unencodable;
    const some = async function* some() {
      yield unencodable;
    };
    const echo = {
      unary: one,
      serverStream: some,
      clientStream: one,
      bidi: some,
    };
    await using running = await serve({ engine: 'direct', echo });

    await assert.rejects(call(running.client, kind), {
      code: Status.INTERNAL,
      details: 'Internal error',
    });

    const line = await running.log.line({ 'rpc.method': rpcMethods[kind] });
    assert.partialDeepStrictEqual(line, { 'rpc.status_code': 'INTERNAL', msg: 'call failed' });
    assert.partialDeepStrictEqual(line['err'], { type: 'TypeError', message: 'no text' });
    assert.equal(running.log.lines.length, 1);
  });
}

test('the log has INTERNAL and the reason if a service returns no response', async () => {
  const echo = Object.assign({ unary: async () => {} });
  await using running = await serve({ engine: 'direct', echo });

  await assert.rejects(call(running.client, 'unary'), { code: Status.INTERNAL });

  const line = await running.log.line({ 'rpc.method': rpcMethods.unary });
  assert.partialDeepStrictEqual(line, { 'rpc.status_code': 'INTERNAL', msg: 'call failed' });
  const message = 'Cannot respond with nothing: the method has one response';
  assert.partialDeepStrictEqual(line['err'], { type: 'TypeError', message });
});
