import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimpleRequest, StreamingOutputCallRequest } from '../../src/gen/grpc/testing/messages.ts';
import { serve, until } from '../support/harness.ts';
import { connectRaw, frame } from '../support/raw_client.ts';

const MiB = 1024 * 1024;
const size = MiB;
const parameters = { responseParameters: [{ size }] };
const bodies = {
  UnaryCall: SimpleRequest.encode(SimpleRequest.fromPartial({ responseSize: size })).finish(),
  StreamingOutputCall: StreamingOutputCallRequest.encode(
    StreamingOutputCallRequest.fromPartial(parameters),
  ).finish(),
};

for (const [method, body] of Object.entries(bodies)) {
  test(`${method} with 200 payloads at once that nobody reads holds no more than the limit`, async () => {
    await using running = await serve({
      engine: 'direct',
      limits: { maxBufferedBytes: 16 * MiB },
    });
    const client = await connectRaw(running.address, { initialWindowSize: 0 });
    let most = 0;
    const refused = () => {
      most = Math.max(most, running.counts().bufferedBytes ?? 0);
      return running.log.lines.filter((line) => line['rpc.status_code'] === 'RESOURCE_EXHAUSTED')
        .length;
    };

    for (let i = 0; i < 200; i++) {
      client.open(`/grpc.testing.TestService/${method}`).resume().end(frame(body));
    }
    await until(() => refused() >= 180);

    assert.ok(most < 24 * MiB, `${most} bytes`);
    client.close();
  });
}

test('calls that nobody reads keep at most 100,000 pending responses in total', async () => {
  await using running = await serve({ engine: 'direct' });
  const client = await connectRaw(running.address, { initialWindowSize: 0 });
  const thousand = Array.from({ length: 1000 }, () => ({ size: 1 }));
  const request = StreamingOutputCallRequest.fromPartial({ responseParameters: thousand });
  const body = frame(StreamingOutputCallRequest.encode(request).finish());
  const refused = () =>
    running.log.lines.filter((line) => line['rpc.status_code'] === 'RESOURCE_EXHAUSTED').length;
  const open = () => client.open('/grpc.testing.TestService/StreamingOutputCall').resume();

  const first = open();
  first.end(body);
  for (let i = 0; i < 149; i++) open().end(body);
  await until(() => refused() === 50);
  first.close();
  await running.log.line({ 'rpc.status_code': 'CANCELLED' });
  for (let i = 0; i < 2; i++) open().end(body);
  await until(() => refused() === 51);

  assert.equal(running.counts().calls, 100);
  client.close();
});

test('payloads that wait for compression stay within the limit', async () => {
  await using running = await serve({
    engine: 'direct',
    limits: { maxBufferedBytes: 16 * MiB },
  });
  const client = await connectRaw(running.address);
  const request = { responseSize: size, responseCompressed: { value: true } };
  const body = frame(SimpleRequest.encode(SimpleRequest.fromPartial(request)).finish());
  const fields = { 'grpc-accept-encoding': 'gzip' };
  let most = 0;
  const ended = () => {
    most = Math.max(most, running.counts().bufferedBytes ?? 0);
    return running.log.lines.length;
  };

  for (let i = 0; i < 200; i++) {
    client.open('/grpc.testing.TestService/UnaryCall', fields).resume().end(body);
  }
  await until(() => ended() === 200);
  await until(() => (running.counts().bufferedBytes ?? 0) < MiB);

  assert.ok(most > 2 * MiB && most < 24 * MiB, `${most} bytes`);
  client.close();
});
