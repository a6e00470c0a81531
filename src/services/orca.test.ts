import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { serve, type ServeOptions, until } from '../../test/support/harness.ts';
import type { OrcaLoadReport } from '../gen/xds/data/orca/v3/orca_load_report.ts';
import { OpenRcaServiceDefinition } from '../gen/xds/service/orca/v3/orca.ts';
import { intervalOf } from './orca.ts';

const anInstant = { reportInterval: { seconds: 0, nanos: 1_000_000 } };
async function serveReports(report: Partial<OrcaLoadReport> = {}, options: ServeOptions = {}) {
  const running = await serve({ ...options, deps: { report: () => report } });
  const orca = createClient(OpenRcaServiceDefinition, running.channel);
  return { ...running, orca };
}

test('intervalOf() returns the requested interval, within its limits', () => {
  const of = (seconds: number, min = 30_000) => intervalOf({ seconds, nanos: 500_000_000 }, min);

  assert.deepEqual([of(0), of(0, 10), of(60), of(1e12)], [30_000, 500, 60_500, 2 ** 31 - 1]);
  assert.deepEqual([intervalOf(undefined, 10), of(-5, 10)], [30_000, 30_000]);
});

test('streamCoreMetrics() reports the requested costs', async () => {
  await using running = await serveReports({ requestCost: { cost: 3456.32, other: 1 } });
  const reports = running.orca.streamCoreMetrics({ requestCostNames: ['other', 'none'] });

  const { value } = await reports[Symbol.asyncIterator]().next();

  assert.deepEqual(value?.requestCost, { other: 1 });
});

test('streamCoreMetrics() ends with UNAVAILABLE at shutdown, and leaves nothing open', async () => {
  await using running = await serveReports();
  const cancel = new AbortController();
  const { signal } = cancel;
  const cancelled = running.orca.streamCoreMetrics({}, { signal })[Symbol.asyncIterator]();
  const left = running.orca.streamCoreMetrics({})[Symbol.asyncIterator]();
  await Promise.all([cancelled.next(), left.next()]);

  cancel.abort();
  await assert.rejects(cancelled.next(), { name: 'AbortError' });
  void running.openCalls.drain();

  await assert.rejects(left.next(), { code: Status.UNAVAILABLE });
  await until(() => running.openCalls.inChain === 0);
});

test('streamCoreMetrics() rejects more than 100 names', async () => {
  await using running = await serveReports();
  const ask = (count: number) => {
    const requestCostNames = Array.from({ length: count }, (_, i) => `${i}`);
    const reports = running.orca.streamCoreMetrics({ ...anInstant, requestCostNames });
    return reports[Symbol.asyncIterator]().next();
  };

  assert.equal((await ask(100)).done, false);
  await assert.rejects(ask(101), {
    code: Status.INVALID_ARGUMENT,
    details: 'Cannot accept "request_cost_names": at most 100 names',
  });
});

test("streamCoreMetrics() is exempt from the server's deadlines", async () => {
  await using running = await serveReports({}, { deadlines: { max: 1, fallback: 1 } });
  const reports = running.orca.streamCoreMetrics(anInstant)[Symbol.asyncIterator]();

  for (let i = 0; i < 10; i++) assert.ok((await reports.next()).value);
});
