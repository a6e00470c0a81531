import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { localCertificate } from '../../test/support/certificate.ts';
import { startCollector } from '../../test/support/collector.ts';
import { until } from '../../test/support/harness.ts';
import { tracingOptions } from '../../test/support/traced.ts';
import { createTracing } from './trace.ts';

/** A log that records its warnings. */
function warnings() {
  const lines: Record<string, unknown>[] = [];
  const warn = (fields: object, msg: string) => void lines.push({ ...fields, msg });
  return { lines, log: { warn } };
}

/** Finds a nested protobuf field by its numbers. */
function field(bytes: Uint8Array, [number, ...inner]: readonly number[]): Uint8Array | undefined {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [found, type] = reader.tag();
    if (found === number && type === WireType.LengthDelimited) {
      const value = reader.bytes();
      return inner.length === 0 ? value : field(value, inner);
    }
    reader.skip(type);
  }
  return undefined;
}

const name = 'echo.Echo/Unary';

/** resource_spans, scope_spans, spans of opentelemetry.proto.collector.trace.v1. */
const firstSpan = [1, 2, 2] as const;

for (const compression of ['none', 'gzip'] as const) {
  test(`createTracing() posts protobuf with the given headers, compressed with ${compression}`, async () => {
    await using collector = await startCollector({ answer: (response) => void response.end() });
    const { log, lines } = warnings();
    const { tracer, close } = createTracing({
      ...tracingOptions,
      log,
      url: `${collector.url}/v1/traces`,
      headers: { authorization: 'Basic YTpi' },
      protocol: 'http/protobuf',
      compression,
    });
    const span = tracer.startSpan(name);

    span.end();
    await close();

    const [post, ...others] = collector.posts;
    assert.ok(post);
    assert.deepEqual(others, []);
    assert.equal(post.path, '/v1/traces');
    assert.equal(post.headers['content-type'], 'application/x-protobuf');
    assert.equal(post.headers.authorization, 'Basic YTpi');
    const body = compression === 'gzip' ? gunzipSync(post.body) : post.body;
    const traceId = Buffer.from(field(body, [...firstSpan, 1]) ?? []).toString('hex');
    assert.equal(traceId, span.spanContext().traceId);
    assert.equal(String(Buffer.from(field(body, [...firstSpan, 5]) ?? [])), name);
    assert.deepEqual(lines, []);
  });
}

test('createTracing() posts over TLS to a collector with the given CA', async () => {
  const tls = await localCertificate();
  await using collector = await startCollector({ tls });
  const { log, lines } = warnings();
  const url = collector.url;
  const ca = { pem: tls.cert };
  const trusting = createTracing({ ...tracingOptions, log, url, ca });
  trusting.tracer.startSpan('x').end();
  await trusting.close();
  const before = lines.length;
  const strange = createTracing({ ...tracingOptions, log, url });

  strange.tracer.startSpan('x').end();
  await strange.close();

  assert.equal(before, 0);
  assert.equal(collector.spans.length, 1);
  assert.match(String(lines[0]?.['reason']), /self-signed certificate/);
});

test('createTracing() drops spans that exceed its queue, and logs their number', async () => {
  await using collector = await startCollector();
  const { log, lines } = warnings();
  const url = collector.url;
  const bounds = { maxQueueSize: 10, maxExportBatchSize: 10 };
  const { tracer, close } = createTracing({ ...tracingOptions, ...bounds, log, url });

  // Ten are sent at once, ten are queued, and the collector had no time to accept them.
  for (let i = 0; i < 100; i++) tracer.startSpan('x').end();
  await until(() => collector.spans.length === 20);
  tracer.startSpan('x').end();
  await close();

  assert.equal(collector.spans.length, 21);
  assert.partialDeepStrictEqual(lines, [{ msg: 'spans may be lost', heldBack: 0 }]);
  assert.match(String(lines[0]?.['reason']), /80 spans/);
});

test('createTracing() posts a batch at most once a second, even if a collector asks for an immediate retry', async () => {
  await using collector = await startCollector({
    answer: (response) => void response.writeHead(429, { 'retry-after': '0' }).end(),
  });
  const { log, lines } = warnings();
  const url = collector.url;
  const { tracer, close } = createTracing({ ...tracingOptions, log, url, timeout: 900 });

  tracer.startSpan('x').end();
  await close();

  assert.equal(collector.posts.length, 1);
  assert.deepEqual(
    lines.map(({ reason }) => reason),
    ['Too Many Requests 429'],
  );
});

test('createTracing() warns once a minute of a collector that fails', async () => {
  let time = 0;
  await using collector = await startCollector({
    answer: (response) => void response.writeHead(503).end(),
  });
  const { log, lines } = warnings();
  const url = collector.url;
  const { tracer, close } = createTracing({
    ...tracingOptions,
    log,
    url,
    timeout: 500,
    maxExportBatchSize: 1,
    now: () => time,
  });
  const lose = async (count: number) => {
    const before = collector.posts.length;
    for (let i = 0; i < count; i++) tracer.startSpan('x').end();
    // The next batch is sent once the previous one has failed.
    await until(() => collector.posts.length === before + count);
  };

  await lose(4);
  time = 60_000;
  await lose(2);
  await close();

  const { host } = new URL(url);
  const line = { msg: 'spans may be lost', collector: host };
  assert.partialDeepStrictEqual(lines, [
    { ...line, heldBack: 0 },
    { ...line, heldBack: lines[1]?.['heldBack'] },
  ]);
  assert.equal(lines.length, 2);
  assert.ok(Number(lines[1]?.['heldBack']) >= 2);
});

test(
  'createTracing() gives up on a collector that never answers',
  { timeout: 10_000 },
  async () => {
    await using collector = await startCollector({ answer: () => {} });
    const { log, lines } = warnings();
    const patient = { timeout: 3000, exportTimeout: 60_000 };
    const url = collector.url;
    const { tracer, close } = createTracing({ ...tracingOptions, ...patient, log, url });

    tracer.startSpan('x').end();
    await close();

    assert.partialDeepStrictEqual(lines, [{ reason: 'the collector takes too long' }]);
  },
);
