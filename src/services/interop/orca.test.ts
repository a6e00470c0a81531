import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Metadata, Status } from 'nice-grpc-common';
import { feed } from '../../../test/support/harness.ts';
import { response, serveTests } from '../../../test/interop/serve_tests.ts';
import type {
  StreamingOutputCallRequest,
  TestOrcaReport,
} from '../../gen/grpc/testing/messages.ts';
import { OrcaLoadReport } from '../../gen/xds/data/orca/v3/orca_load_report.ts';
import { OpenRcaServiceDefinition } from '../../gen/xds/service/orca/v3/orca.ts';
import { loadReport } from '../../middleware/load_report.ts';
import { interopInterval } from './services.ts';
import { intervalOf, minInterval } from '../orca.ts';

const anInstant = { reportInterval: { seconds: 0, nanos: 1_000_000 } };
const busy = {
  cpuUtilization: 0.821,
  memoryUtilization: 0.5847,
  requestCost: { cost: 3456.32, other: 1 },
  utilization: { util: 0.30499 },
};
const idle = { cpuUtilization: 0.29309, memoryUtilization: 0.2, requestCost: {}, utilization: {} };

/** The same report in the format of OpenRcaService. */
function reported({ memoryUtilization, ...more }: TestOrcaReport): OrcaLoadReport {
  return OrcaLoadReport.fromPartial({ ...more, memUtilization: memoryUtilization });
}

async function serveReports() {
  const running = await serveTests();
  const orca = createClient(OpenRcaServiceDefinition, running.channel);
  return { ...running, orca };
}

/** A full-duplex call that sets the out-of-band report; resolves once it is set. */
function reporter({ test: client }: Awaited<ReturnType<typeof serveTests>>) {
  const requests = feed<Partial<StreamingOutputCallRequest>>();
  const responses = client.fullDuplexCall(requests)[Symbol.asyncIterator]();
  return {
    report(orcaOobReport: TestOrcaReport) {
      requests.push({ orcaOobReport, responseParameters: [response(1)] });
      return responses.next();
    },
    async end() {
      requests.end();
      assert.equal((await responses.next()).done, true);
    },
  };
}

test('unaryCall() sends the requested load report in its trailers, and none by default', async () => {
  await using running = await serveTests();
  let trailer = Metadata();
  const onTrailer = (got: Metadata) => void (trailer = got);

  await running.test.unaryCall({ orcaPerQueryReport: busy }, { onTrailer });
  const [asked] = trailer.getAll('endpoint-load-metrics-bin');
  await running.test.unaryCall({}, { onTrailer });

  assert.deepEqual(OrcaLoadReport.decode(asked ?? Buffer.alloc(0)), reported(busy));
  assert.equal(trailer.has('endpoint-load-metrics-bin'), false);
});

test('unaryCall() rejects a report of more than 4 KiB', async () => {
  await using running = await serveTests();
  const report = { ...idle, utilization: { ['x'.repeat(4096)]: 1 } };
  const tooLarge = { code: Status.RESOURCE_EXHAUSTED };

  await assert.rejects(running.test.unaryCall({ orcaPerQueryReport: report }), tooLarge);
  await assert.rejects(reporter(running).report(report), tooLarge);
});

test('streamCoreMetrics() reports at once, and then the latest report of a test at each interval', async () => {
  await using running = await serveReports();
  const reports = running.orca.streamCoreMetrics(anInstant)[Symbol.asyncIterator]();
  const next = async () => (await reports.next()).value;
  const changed = async (from: OrcaLoadReport | undefined) => {
    for (let report = await next(); ; report = await next()) {
      if (report?.cpuUtilization !== from?.cpuUtilization) return report;
    }
  };
  const tests = reporter(running);

  const first = await next();
  await tests.report(busy);
  const second = await changed(first);
  await tests.report(idle);
  const third = await changed(second);
  await tests.end();

  assert.deepEqual(first, reported({ ...idle, cpuUtilization: 0, memoryUtilization: 0 }));
  assert.deepEqual([second, third], [reported(busy), reported(idle)]);
});

test('unaryCall() reports no measured load once a test has set the out-of-band report', async () => {
  const trailer = 'endpoint-load-metrics-bin';
  const own = loadReport({ trailer, report: () => Buffer.from('the load of this process') });
  await using running = await serveTests({ loadReport: own });
  const reported: boolean[] = [];
  const onTrailer = (got: Metadata) => void reported.push(got.has(trailer));
  const call = async () => {
    await running.test.emptyCall({}, { onTrailer });
    await running.test.unaryCall({}, { onTrailer });
    await Array.fromAsync(running.test.streamingOutputCall({}, { onTrailer }));
  };

  await call();
  await reporter(running).report(busy);
  await call();

  assert.deepEqual(reported, [true, true, true, false, false, false]);
});

test('only one call at a time sets the out-of-band report; the next waits for its end', async () => {
  await using running = await serveReports();
  const [first, second] = [reporter(running), reporter(running)];
  await first.report(busy);
  let isOver = false;
  const waiting = second.report(idle).then(() => assert.ok(isOver));
  // The second would have been answered by then.
  for (const _ of [1, 2, 3]) await first.report(busy);

  isOver = true;
  await first.end();
  await waiting;
  await second.end();
});

test('streamCoreMetrics() reports once a second with --interop on, otherwise every 30 s', () => {
  assert.equal(intervalOf({ seconds: 1, nanos: 0 }, interopInterval), 1000);
  assert.equal(intervalOf({ seconds: 0, nanos: 10_000_000 }, interopInterval), 1000);
  assert.equal(intervalOf({ seconds: 1, nanos: 0 }, minInterval), 30_000);
});
