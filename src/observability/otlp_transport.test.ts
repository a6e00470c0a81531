import assert from 'node:assert/strict';
import { Agent, type ServerResponse } from 'node:http';
import { test, type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { startCollector } from '../../test/support/collector.ts';
import { createTransport } from './otlp_transport.ts';

const batch = Buffer.from('a batch');

/** A transport to a collector, with defaults. */
function transportTo(url: string, compression: 'none' | 'gzip' = 'none') {
  const headers = { 'content-type': 'application/x-protobuf', 'x-mine': 'yes' };
  return createTransport({ url, headers, compression, agent: new Agent({ keepAlive: true }) });
}

/** Node's warnings until the end of the test. */
function warningsOf(t: TestContext): string[] {
  const warnings: string[] = [];
  const take = ({ name }: Error) => void warnings.push(name);
  process.on('warning', take);
  t.after(() => void process.off('warning', take));
  return warnings;
}

function busy(response: ServerResponse, retryAfter?: string): void {
  response.writeHead(503, retryAfter === undefined ? {} : { 'retry-after': retryAfter }).end();
}

const past = 'Wed, 21 Oct 2015 07:28:00 GMT';
for (const retryAfter of ['0', '-5', '0.4', 'soon', past, '99999999999', undefined]) {
  test(`createTransport() waits at least a second if a collector sends Retry-After ${retryAfter}`, async (t) => {
    const warnings = warningsOf(t);
    await using collector = await startCollector({
      answer: (response) => busy(response, retryAfter),
    });
    const transport = transportTo(collector.url);

    // There is no time for another attempt a second later.
    const { status } = await transport.send(batch, 900);
    transport.shutdown();

    assert.equal(status, 'retryable');
    assert.equal(collector.posts.length, 1);
    assert.deepEqual(warnings, []);
  });
}

for (const compression of ['none', 'gzip'] as const) {
  test(`createTransport() retries a batch for which a collector was too busy, with ${compression}`, async (t) => {
    const warnings = warningsOf(t);
    const answers = [(response: ServerResponse) => busy(response, '0')];
    await using collector = await startCollector({
      answer: (response) => (answers.pop() ?? (() => response.end('taken')))(response),
    });
    const transport = transportTo(collector.url, compression);

    const response = await transport.send(batch, 10_000);
    transport.shutdown();

    assert.deepEqual(response, { status: 'success', data: Buffer.from('taken') });
    assert.equal(collector.posts.length, 2);
    for (const { body, headers } of collector.posts) {
      assert.deepEqual(compression === 'gzip' ? gunzipSync(body) : body, batch);
      assert.equal(headers['x-mine'], 'yes');
      assert.equal(headers['content-length'], String(body.length));
    }
    assert.deepEqual(warnings, []);
  });
}

const failures: [string, (response: ServerResponse) => void, RegExp][] = [
  ['refuses it', (response) => void response.writeHead(400, 'Not so').end('x'), /Not so/],
  ['says too much', (response) => void response.end(Buffer.alloc(5 * 1024 ** 2)), /4 MiB/],
  [
    'speaks something else',
    (response) => void response.socket?.end('nonsense\r\n\r\n'),
    /Parse Error/,
  ],
];

for (const [does, answer, reason] of failures) {
  test(`createTransport() does not retry for a collector that ${does}`, async () => {
    await using collector = await startCollector({ answer });
    const transport = transportTo(collector.url);

    const response = await transport.send(batch, 10_000);
    transport.shutdown();

    assert.equal(response.status, 'failure');
    assert.match(String(response.status === 'failure' && response.error), reason);
    assert.equal(collector.posts.length, 1);
  });
}

test('createTransport() gives up in time if a collector is silent or unreachable', async () => {
  await using collector = await startCollector({ answer: () => {} });
  const [silent, away] = [transportTo(collector.url), transportTo('http://127.0.0.1:1')];

  const responses = await Promise.all([silent, away].map((each) => each.send(batch, 500)));
  for (const each of [silent, away]) each.shutdown();

  assert.partialDeepStrictEqual(
    responses.map((response) => 'error' in response && String(response.error)),
    ['Error: the collector takes too long', 'Error: connect ECONNREFUSED 127.0.0.1:1'],
  );
});
