// The attacked server with its whole chain, in its own process. Its options are JSON in the first argument.
import { once } from 'node:events';
import { pino } from 'pino';
import { type CallContext, ServerError, type ServerMiddlewareCall, Status } from 'nice-grpc-common';
import type { Call } from '../../src/context.ts';
import { createCallCounts } from '../../src/observability/call_counts.ts';
import { buildServer } from '../../src/transport/server.ts';
import { localCertificate } from '../support/certificate.ts';
import type { EchoRequest } from '../echo/gen/echo.ts';
import { exempt, methods, servicesOf } from '../support/harness.ts';
import { obey, stopClock } from './control_channel.ts';
import { createEngine } from '../support/engine.ts';

stopClock();
const logged: Record<string, number> = {};
let unlogged = 0;
const limits = {
  maxConcurrentStreams: 1000,
  maxMessageSize: 4 * 1024 * 1024,
  ...JSON.parse(process.argv[2] ?? '{}'),
};
const engine = await createEngine('direct', limits, { exempt });
// This is no Express.
// oxlint-disable-next-line oxc/no-async-endpoint-handlers
const server = buildServer(engine.use(countCall), {
  log: pino({ base: null, level: 'debug' }, { write: countLine }),
  counts: createCallCounts(methods),
  deadlines: { max: 3_600_000, fallback: undefined },
  maxInFlight: 10_000,
  ...(await servicesOf({
    echo: {
      clientStream: (requests, { metadata, retain, signal }) =>
        metadata.has('x-keep')
          ? keep(requests, retain)
          : new Promise((_, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason));
            }),
      async *serverStream({ text }, { signal }) {
        if (text.startsWith('wait ')) await once(signal, 'abort');
        if (text.startsWith('endless ')) while (true) yield { text };
        yield { text: 'x'.repeat(Number(text)) };
      },
    },
  })),
});
const address = { host: '127.0.0.1', port: 0 };
const plain = (await server.listen(address)) ?? 0;
const tls = (await server.listen(address, await localCertificate())) ?? 0;
obey({ plain, tls }, () => {
  const { connections = 0, streams, calls, bufferedBytes = 0 } = server.counts;
  return {
    openConnections: connections,
    openStreams: streams,
    openCalls: calls,
    bufferedBytes,
    unlogged,
    logged,
  };
});

/** Keeps every request to the end, and reports that; at most 1 MiB, and 2,000 requests. */
async function keep(requests: AsyncIterable<EchoRequest>, retain: Call['retain']) {
  const kept: EchoRequest[] = [];
  let size = 0;
  for await (const request of requests) {
    kept.push(request);
    size += request.text.length;
    if (size > 1024 * 1024 || kept.length > 2000)
      throw new ServerError(Status.RESOURCE_EXHAUSTED, 'Cannot keep more');
    retain?.(size);
  }
  return { requests: kept };
}

/** Outside of the whole chain: each call that passes must be logged. */
async function* countCall<Req, Res>(call: ServerMiddlewareCall<Req, Res>, context: CallContext) {
  unlogged++;
  return yield* call.next(call.request, context);
}

function countLine(json: string): void {
  const { 'rpc.status_code': code } = JSON.parse(json);
  logged[code] = (logged[code] ?? 0) + 1;
  unlogged--;
}
