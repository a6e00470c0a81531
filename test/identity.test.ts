import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http2';
import { test } from 'node:test';
import { EchoRequest } from './echo/gen/echo.ts';
import { engineName, serve } from './support/harness.ts';
import { failing, kinds, paths } from './support/kinds.ts';
import { connectRaw, frame, type RawClient } from './support/raw_client.ts';

const responseFields = ['x-greeter-host', 'pod-1', 'x-greeter-version', '1.2.3'];
const identity = { 'x-greeter-host': 'pod-1', 'x-greeter-version': '1.2.3' };
const request = frame(EchoRequest.encode({ text: 'one' }).finish());

/** The header lists of a response. */
async function listsOf(raw: RawClient, path: string): Promise<IncomingHttpHeaders[]> {
  const lists: IncomingHttpHeaders[] = [];
  const stream = raw.open(path).end(request);
  stream.on('response', (fields) => void lists.push(fields));
  stream.on('trailers', (fields) => void lists.push(fields));
  stream.resume();
  await new Promise((resolve) => stream.once('close', resolve));
  return lists;
}

for (const kind of kinds) {
  test(`the headers of a response (${kind}) name the server`, async () => {
    await using server = await serve({ responseFields });
    const raw = await connectRaw(server.address);

    const [headers, trailers] = await listsOf(raw, paths[kind]);

    raw.close();
    assert.partialDeepStrictEqual(headers, identity);
    assert.equal(trailers?.['x-greeter-host'], undefined);
  });
}

test('a failed call names the server, and can be retried', async () => {
  await using server = await serve({ responseFields, echo: failing(() => new Error('oops')) });
  const raw = await connectRaw(server.address);

  const lists = await listsOf(raw, paths.unary);
  const unknown = await listsOf(raw, '/no.Such/Method');

  raw.close();
  assert.equal(lists.length, 1);
  assert.partialDeepStrictEqual(lists[0], { ...identity, 'grpc-status': '13' });
  assert.partialDeepStrictEqual(unknown[0], { 'grpc-status': '12' });
  // On grpc-js, unknown methods pass no middleware.
  if (engineName === 'direct') assert.partialDeepStrictEqual(unknown[0], identity);
});

if (engineName === 'direct') {
  test('the headers of a response in JSON name the server, also if the call fails', async () => {
    await using server = await serve({ responseFields, tls: false });
    const post = (path: string) =>
      fetch(`http://${server.address}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
      });

    const response = await post(paths.unary);
    const failed = await post('/grpc.testing.TestService/UnimplementedCall');

    assert.deepEqual([response.status, failed.status], [200, 501]);
    assert.equal(response.headers.get('x-greeter-host'), 'pod-1');
    assert.equal(failed.headers.get('x-greeter-host'), 'pod-1');
  });
}
