import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metadata, ServerError, Status } from 'nice-grpc-common';
import { response, serveTests } from '../../test/support/interop.ts';
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
  await using running = await serveTests({
    loadReport: loadReport({ trailer, report: () => report }),
    echo: {
      async unary() {
        throw new ServerError(Status.NOT_FOUND, 'nobody');
      },
    },
  });
  const { reports, options } = reportOf();
  const responseParameters = [response(1)];

  await running.test.emptyCall({}, options);
  await assert.rejects(running.client.unary({}, options));
  await Array.fromAsync(running.test.streamingOutputCall({ responseParameters }, options));

  assert.deepEqual(reports, [0.5, 0.5, 0.5]);
});

test('loadReport() keeps a report that the service has set', async () => {
  await using running = await serveTests({
    loadReport: loadReport({ trailer, report: () => report }),
  });
  const { reports, options } = reportOf();

  await running.test.unaryCall({ orcaPerQueryReport: { cpuUtilization: 0.25 } }, options);

  assert.deepEqual(reports, [0.25]);
});
