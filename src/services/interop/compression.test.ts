import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Status } from 'nice-grpc-common';
import { answerTo } from '../../../test/support/grpc_answer.ts';
import { serveTests } from '../../../test/interop/serve_tests.ts';
import { connectRaw, frame, packed } from '../../../test/support/raw_client.ts';
import {
  SimpleRequest,
  StreamingInputCallRequest,
  StreamingInputCallResponse,
  StreamingOutputCallRequest,
} from '../../gen/grpc/testing/messages.ts';

const yes = { value: true };
const no = { value: false };
const gzip = { 'grpc-encoding': 'gzip', 'grpc-accept-encoding': 'gzip' };

/** The response of a direct server to a call of its test service. */
async function play(method: string, body: Buffer) {
  await using running = await serveTests({ engine: 'direct' });
  const client = await connectRaw(running.address);
  const path = `/grpc.testing.TestService/${method}`;
  const { messages, trailers, headers } = await answerTo(client, { path, body, fields: gzip });
  client.close();
  const code = Number(trailers['grpc-status'] ?? headers['grpc-status']);
  return { messages, code, flags: messages.map(({ compressed }) => compressed) };
}

function simple(request: Partial<SimpleRequest>): Buffer {
  return Buffer.from(SimpleRequest.encode(SimpleRequest.fromPartial(request)).finish());
}

function upload(length: number, expectCompressed = yes): Buffer {
  const request = { payload: { body: Buffer.alloc(length) }, expectCompressed };
  const message = StreamingInputCallRequest.fromPartial(request);
  return Buffer.from(StreamingInputCallRequest.encode(message).finish());
}

function download(compressed: ({ value: boolean } | undefined)[], size: number): Buffer {
  const responseParameters = compressed.map((each) => ({ size, compressed: each }));
  const message = StreamingOutputCallRequest.fromPartial({ responseParameters });
  return Buffer.from(StreamingOutputCallRequest.encode(message).finish());
}

test('unaryCall() rejects an uncompressed request that should be compressed, on the direct engine', async () => {
  const expected = simple({ expectCompressed: yes, responseSize: 10 });

  assert.equal((await play('UnaryCall', frame(expected))).code, Status.INVALID_ARGUMENT);
  assert.equal((await play('UnaryCall', packed(gzipSync(expected)))).code, Status.OK);
  const notExpected = simple({ expectCompressed: no });
  assert.equal((await play('UnaryCall', packed(gzipSync(notExpected)))).code, Status.OK);
});

test('unaryCall() compresses its response only if it is requested, however small it is', async () => {
  const small = await play('UnaryCall', frame(simple({ responseCompressed: yes })));
  const large = simple({ responseCompressed: no, responseSize: 314_159 });
  const unsaid = simple({ responseSize: 314_159 });

  assert.deepEqual(small.flags, [true]);
  assert.deepEqual((await play('UnaryCall', frame(large))).flags, [false]);
  assert.deepEqual((await play('UnaryCall', packed(gzipSync(unsaid)))).flags, [false]);
});

test('streamingInputCall() checks for each message whether it was compressed', async () => {
  const large = packed(gzipSync(upload(271_828)));
  const both = [packed(gzipSync(upload(27_182))), large, frame(upload(45_904, no))];
  const wrong = [...both, frame(upload(1))];

  const taken = await play('StreamingInputCall', Buffer.concat(both));
  const refused = await play('StreamingInputCall', Buffer.concat(wrong));

  const [sum] = taken.messages.map(({ bytes }) => StreamingInputCallResponse.decode(bytes));
  assert.equal(sum?.aggregatedPayloadSize, 344_914);
  assert.equal(refused.code, Status.INVALID_ARGUMENT);
});

for (const method of ['StreamingOutputCall', 'FullDuplexCall', 'HalfDuplexCall']) {
  test(`${method} compresses each response for which it is requested, and no other`, async () => {
    const wanted = [no, yes, undefined, yes, no];
    // Whether the request was compressed makes no difference.
    const { flags } = await play(method, packed(gzipSync(download(wanted, 5000))));

    assert.deepEqual(flags, [false, true, false, true, false]);
  });
}
