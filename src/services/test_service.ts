import { setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../context.ts';
import { exhausted } from '../errors.ts';
import { PayloadType, type StreamingOutputCallRequest } from '../gen/grpc/testing/messages.ts';
import type { TestServiceImplementation } from '../gen/grpc/testing/test.ts';
import { encodeTestReport, loadReportTrailer, type TestReports } from './load_reports.ts';
import { createTestCache } from './test_cache.ts';
import { createPayloads, type PayloadLimits } from './test_payloads.ts';
import { checkCompressed, checkResponses, collectRequests, throwAsked } from './test_responses.ts';

/** What the test service tells of its server, and what it may send. */
export interface TestServiceOptions extends PayloadLimits {
  hostname: string;
  /** Another one for every server. */
  serverId: string;
  reports: TestReports;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

/**
 * grpc.testing.TestService: what the interop clients of all languages call
 * (https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md).
 */
export function createTestService({
  maxMessageSize,
  freeBytes,
  hostname,
  serverId,
  reports,
  now = Date.now,
}: TestServiceOptions): Omit<TestServiceImplementation<Call>, 'unimplementedCall'> {
  const makePayload = createPayloads({ maxMessageSize, freeBytes });
  const cached = createTestCache(now);

  return {
    async emptyCall(_request, context) {
      echo(context);
      return {};
    },

    async unaryCall(request, context) {
      echo(context);
      const { orcaPerQueryReport: report, responseCompressed: compressed } = request;
      checkCompressed(request.expectCompressed, context);
      if (report) context.trailer.set(loadReportTrailer, encodeTestReport(report));
      throwAsked(request.responseStatus);
      const wanted = { type: request.responseType, size: request.responseSize };
      const payload = await makePayload(wanted, context);
      compress(context, compressed?.value);
      return {
        payload,
        hostname,
        ...(request.fillServerId && { serverId }),
        ...(request.fillUsername && { username: context.connection?.tls?.client ?? '' }),
      };
    },

    async cacheableUnaryCall(request, context) {
      echo(context);
      context.header.set('cache-control', 'max-age=60, public');
      const body = Buffer.from(cached(request));
      return { payload: { type: PayloadType.COMPRESSABLE, body } };
    },

    async *streamingOutputCall(request, context) {
      begin(context);
      yield* respond(request, context);
    },

    async streamingInputCall(requests, context) {
      echo(context);
      let sum = 0;
      for await (const { payload, expectCompressed } of requests) {
        checkCompressed(expectCompressed, context);
        sum += payload?.body.length ?? 0;
        if (sum > maxInt32) throw exhausted('add up these payloads', `at most ${maxInt32} bytes`);
      }
      return { aggregatedPayloadSize: sum };
    },

    async *fullDuplexCall(requests, context) {
      begin(context);
      let release: (() => void) | undefined;
      try {
        for await (const request of requests) {
          if (request.orcaOobReport) {
            release ??= await reports.claim(context.signal);
            reports.replace(request.orcaOobReport);
          }
          yield* respond(request, context);
        }
      } finally {
        release?.();
      }
    },

    async *halfDuplexCall(requests, context) {
      begin(context);
      const collected = await collectRequests(requests);
      checkResponses(collected, maxMessageSize);
      for (const request of collected) yield* respond(request, context);
    },
  };

  /** Says where the server runs, and what the caller wants to hear again, once each. */
  function echo({ metadata, header, trailer }: Call): void {
    const initial = metadata.get('x-grpc-test-echo-initial');
    const trailing = metadata.get('x-grpc-test-echo-trailing-bin');
    header.set('hostname', hostname);
    if (initial !== undefined) header.set('x-grpc-test-echo-initial', initial);
    if (trailing !== undefined) trailer.set('x-grpc-test-echo-trailing-bin', trailing);
  }

  /** A stream's headers leave at once, and say that its messages may be compressed. */
  function begin(context: Call): void {
    echo(context);
    compress(context);
    context.sendHeader();
  }

  async function* respond(request: StreamingOutputCallRequest, context: Call) {
    const { responseType: type, responseParameters } = request;
    throwAsked(request.responseStatus);
    checkResponses([request], maxMessageSize);
    for (const { size, intervalUs, compressed, fillPeerSocketAddress } of responseParameters) {
      if (intervalUs > 0) await sleep(intervalUs / 1000, undefined, { signal: context.signal });
      compress(context, compressed?.value);
      yield {
        payload: await makePayload({ type, size }, context),
        peerSocketAddress: fillPeerSocketAddress?.value ? context.peer : '',
      };
    }
  }
}

const maxInt32 = 2 ** 31 - 1;

/** Clients look whether what they have not asked to be compressed is not. */
function compress({ compression }: Call, wanted = false): void {
  if (compression) compression.compressResponses = wanted;
}
