import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants } from 'node:http2';
import { connect } from 'node:net';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { ScriptDefinition } from './echo/gen/echo.ts';
import { installEcho } from './support/echo_program.ts';
import { scriptPaths } from './support/script.ts';
import { dialHttp2 } from './support/tls.ts';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

/** A frame whose length field may be wrong. */
function rawFrame(type: number, stream: number, payload: Buffer, length = payload.length): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A connection with a valid start. */
function started(frame: Buffer): Buffer {
  return Buffer.concat([preface, settings, frame]);
}

/** What a broken or hostile peer sends on the socket. */
const sayings: Record<string, Buffer> = {
  nothing: Buffer.alloc(0),
  'HTTP/1.1': Buffer.from('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'),
  'a TLS hello': Buffer.from('16030100a5010000a10303', 'hex'),
  noise: Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256)),
  'half a preface': preface.subarray(0, 12),
  'a frame that is too long': started(rawFrame(0, 1, Buffer.alloc(0), 0xff_ff_ff)),
  'DATA on a stream that is idle': started(rawFrame(0, 7, Buffer.from('x'))),
  'headers that are no HPACK': started(
    rawFrame(1, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
  ),
  'a window of more than 2^31 - 1': started(rawFrame(8, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))),
  'GOAWAY at once': started(rawFrame(7, 0, Buffer.alloc(8))),
};

/** What a broken client sends to a method: other headers, or another body. */
const requests: Record<string, { headers?: Record<string, string>; body?: Buffer }> = {
  'no message': { body: Buffer.alloc(0) },
  'half a frame': { body: Buffer.from([0, 0, 0]) },
  'a message shorter than its length': { body: Buffer.from([0, 0, 0, 0, 9, 1]) },
  'a message of 4 GiB': { body: Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]) },
  'a message that is no protobuf': { body: Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff]) },
  'a compressed message without an encoding': { body: Buffer.from([1, 0, 0, 0, 1, 1]) },
  'a malformed timeout': { headers: { 'grpc-timeout': 'soon' } },
  'a timeout of no time': { headers: { 'grpc-timeout': '0n' } },
  'a wrong content type': { headers: { 'content-type': 'application/json' } },
  'a wrong verb': { headers: { ':method': 'GET' } },
  'an unknown path': { headers: { ':path': '/nope' } },
  'an unknown method': { headers: { ':path': '/echo.Script/Nope' } },
  'binary metadata that is no base64': { headers: { 'x-bin': '%%%' } },
  'an unknown encoding': {
    headers: { 'grpc-encoding': 'brotli' },
    body: Buffer.from([1, 0, 0, 0, 1, 1]),
  },
};

test('no input of a peer ends the server, or prevents its shutdown', async () => {
  using program = installEcho();
  const server = await program.serve(['--drain-timeout', '5s']);
  const client = createClient(ScriptDefinition, server.channel);
  const [host = '', port] = server.address.split(':');

  for (const [name, said] of Object.entries(sayings)) {
    const socket = connect({ host, port: Number(port) });
    socket.on('error', () => {}).write(said);
    await once(socket, 'connect');
    socket.end();
    await client.unary({}).catch((error) => assert.fail(`${name}: ${error}`));
  }
  for (const [name, { headers = {}, body }] of Object.entries(requests)) {
    const { session } = dialHttp2(server.address);
    const wellFormed = {
      ':method': 'POST',
      ':path': scriptPaths.unary,
      'content-type': 'application/grpc',
      te: 'trailers',
    };
    const stream = session.request({ ...wellFormed, ...headers }, { endStream: false });
    stream.on('error', () => {}).resume();
    stream.end(body ?? Buffer.from([0, 0, 0, 0, 0]));
    await once(stream, 'close');
    session.destroy();
    await client.unary({}).catch((error) => assert.fail(`${name}: ${error}`));
  }
  const { session: flood } = dialHttp2(server.address);
  for (let i = 0; i < 500; i++) {
    const stream = flood.request({
      ':method': 'POST',
      ':path': scriptPaths.unary,
    });
    stream.on('error', () => {}).close(constants.NGHTTP2_CANCEL);
  }
  await client.unary({});

  server.signal('SIGTERM');

  assert.deepEqual(await server.ended, { code: 0, err: '' });
});
