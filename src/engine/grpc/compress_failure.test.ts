import assert from 'node:assert/strict';
import { syncBuiltinESMExports } from 'node:module';
import { mock, test } from 'node:test';
import zlib from 'node:zlib';
import { Status } from 'nice-grpc-common';
import { answerTo } from '../../../test/support/grpc_answer.ts';
import { serve } from '../../../test/support/harness.ts';
import { rpcMethods, paths } from '../../../test/support/kinds.ts';
import { connectRaw, frame } from '../../../test/support/raw_client.ts';

// This test has its own file, as the compressor is loaded once per process.
mock.method(zlib, 'gzip', (_bytes: Buffer, done: (error: Error) => void) =>
  setImmediate(done, new Error('no memory')),
);
syncBuiltinESMExports();

for (const kind of ['unary', 'serverStream'] as const) {
  test(`a ${kind} call whose response cannot be compressed ends with INTERNAL, also for its service and the log`, async (t) => {
    t.mock.method(process, 'emitWarning', () => {});
    let isLeft = false;
    await using running = await serve({
      engine: 'direct',
      limits: { compressResponsesAbove: 0 },
      echo: {
        unary: async () => ({ text: 'x' }),
        async *serverStream() {
          try {
            yield { text: 'x' };
          } finally {
            isLeft = true;
          }
        },
      },
    });
    const client = await connectRaw(running.address);

    const fields = { 'grpc-accept-encoding': 'gzip' };
    const { trailers } = await answerTo(client, {
      path: paths[kind],
      body: frame(noBytes),
      fields,
    });
    client.close();

    assert.equal(trailers['grpc-status'], String(Status.INTERNAL));
    assert.equal(trailers['grpc-message'], 'Internal error');
    const line = await running.log.line({ 'rpc.method': rpcMethods[kind] });
    assert.partialDeepStrictEqual(line, { 'rpc.status_code': 'INTERNAL', msg: 'call failed' });
    assert.partialDeepStrictEqual(line['err'], { message: 'no memory' });
    assert.equal(isLeft, kind === 'serverStream');
  });
}

const noBytes = new Uint8Array(0);
