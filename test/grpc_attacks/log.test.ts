import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { test } from 'node:test';
import { ServerError, Status } from 'nice-grpc-common';
import { serve } from '../harness.ts';
import { paths } from '../kinds.ts';
import { connectRaw } from '../raw_client.ts';
import { message } from './calls.ts';

test('the log has no more of a path than a line holds, however long it is', async () => {
  await using running = await serve({ engine: 'direct' });
  const client = await connectRaw(running.address);
  client.open(`/${'x'.repeat(10_000)}`).end();

  const { rpc } = await running.log.line({ code: 'UNIMPLEMENTED' });
  assert.equal(rpc, `/${'x'.repeat(199)}`);
  client.close();
});

test('a call that is cut while its response is compressed ends as the log says', async () => {
  await using running = await serve({
    engine: 'direct',
    greet: {
      async sayHello(_request, { abort }) {
        setImmediate(abort, new ServerError(Status.ABORTED, 'too late'));
        return { message: 'x'.repeat(1_000_000) };
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
  const lines = running.log.lines.map(({ code }) => code);
  session.destroy();

  assert.equal(trailers['grpc-status'], '0');
  assert.deepEqual(lines, ['OK']);
});
