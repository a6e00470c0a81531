import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metadata, ServerError, Status } from 'nice-grpc-common';
import { serve } from '../../test/support/harness.ts';
import { OrcaLoadReport } from '../gen/xds/data/orca/v3/orca_load_report.ts';
import { loadReport } from './load_report.ts';

const trailer = 'endpoint-load-metrics-bin';
const report = Buffer.from(
  OrcaLoadReport.encode(OrcaLoadReport.fromPartial({ cpuUtilization: 0.5 })).finish(),
);

/** The load report in the trailers of a call. */
function reportOf() {
  const reports: (number | undefined)[] = [];
  const onTrailer = (got: Metadata) => {
    reports.push(
      ...got.getAll(trailer).map((bytes) => OrcaLoadReport.decode(bytes).cpuUtilization),
    );
  };
  return { reports, options: { onTrailer } };
}

test('loadReport() adds the load to the trailers of every call', async () => {
  await using running = await serve({
    loadReport: loadReport({ trailer, report: () => report }),
    echo: {
      async unary() {
        throw new ServerError(Status.NOT_FOUND, 'nobody');
      },
    },
  });
  const { reports, options } = reportOf();

  await Array.fromAsync(running.client.serverStream({}, options));
  await assert.rejects(running.client.unary({}, options));
  await running.client.clientStream(noRequests(), options);

  assert.deepEqual(reports, [0.5, 0.5, 0.5]);
});

test('loadReport() keeps a report that the service has set', async () => {
  const own = OrcaLoadReport.fromPartial({ cpuUtilization: 0.25 });
  await using running = await serve({
    loadReport: loadReport({ trailer, report: () => report }),
    echo: {
      async unary(_request, context) {
        context.trailer.set(trailer, OrcaLoadReport.encode(own).finish());
        return {};
      },
    },
  });
  const { reports, options } = reportOf();

  await running.client.unary({}, options);

  assert.deepEqual(reports, [0.25]);
});

async function* noRequests() {}
