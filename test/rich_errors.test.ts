import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Metadata, Status } from 'nice-grpc-common';
import { BadRequest, RetryInfo } from '../src/gen/google/rpc/error_details.ts';
import { Status as RichStatus } from '../src/gen/google/rpc/status.ts';
import { HealthDefinition } from '../src/gen/grpc/health/v1/health.ts';
import { serve, until } from './support/harness.ts';
import { call, unending, waiting } from './support/kinds.ts';

/** The only detail of a failed call, and its google.rpc.Status. */
function detailOf(trailer: Metadata) {
  const bytes = trailer.get('grpc-status-details-bin') ?? assert.fail('no details');
  const { code, message, details } = RichStatus.decode(bytes);
  const [{ typeUrl, value } = assert.fail('no detail')] = details;
  return { code, message, type: typeUrl.replace('type.googleapis.com/google.rpc.', ''), value };
}

test('INVALID_ARGUMENT names the field and the rule', async () => {
  await using running = await serve();
  const health = createClient(HealthDefinition, running.channel);
  let trailer = Metadata();
  const options = { onTrailer: (got: Metadata) => void (trailer = got) };

  await assert.rejects(Array.fromAsync(health.watch({ service: 'x'.repeat(10_000) }, options)), {
    code: Status.INVALID_ARGUMENT,
  });

  const { code, message, type, value } = detailOf(trailer);
  const { fieldViolations } = BadRequest.decode(value);
  assert.equal(code, Status.INVALID_ARGUMENT);
  assert.equal(type, 'BadRequest');
  assert.partialDeepStrictEqual(fieldViolations, [{ field: 'service' }]);
  assert.equal(message, `Cannot accept "service": ${fieldViolations[0]?.description}`);
});

test('the engine sends a retry delay when it refuses a call above the memory limit', async () => {
  // One call fits, and a second does not.
  const limits = { maxBufferedBytes: 7000 };
  await using running = await serve({ engine: 'direct', echo: waiting(), limits });
  const cancel = new AbortController();
  const options = { signal: cancel.signal, requests: unending() };
  const first = assert.rejects(call(running.client, 'bidi', options));
  await until(() => running.openCalls.inChain === 1);
  let trailer = Metadata();
  const onTrailer = (got: Metadata) => void (trailer = got);

  await assert.rejects(running.client.unary({}, { onTrailer }), {
    code: Status.RESOURCE_EXHAUSTED,
    details: 'Cannot accept more calls: too much is buffered',
  });

  const { type, value } = detailOf(trailer);
  const { seconds = 0, nanos = 0 } = RetryInfo.decode(value).retryDelay ?? {};
  assert.equal(type, 'RetryInfo');
  assert.equal(seconds * 1000 + nanos / 1e6, Number(trailer.get('grpc-retry-pushback-ms')));
  cancel.abort();
  await first;
});
