import { setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../../context.ts';
import { exhausted } from '../../errors.ts';
import type { StreamingOutputCallRequest } from '../../gen/grpc/testing/messages.ts';
import type { TestServiceImplementation } from '../../gen/grpc/testing/test.ts';
import { loadReportTrailer } from '../orca.ts';
import { encodeTestReport, type TestReports } from './load_reports.ts';
import { createTestCache } from './cache.ts';
import { createPayloads, type PayloadLimits } from './payloads.ts';
import {
  type Asked,
  checkCompressed,
  checkResponses,
  collectRequests,
  compress,
  createBacklog,
  echo,
  throwAsked,
} from './responses.ts';

/** Options of the test service. */
export interface TestServiceOptions extends PayloadLimits {
  hostname: string;
  /** Unique per server. */
  serverId: string;
  reports: TestReports;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

/**
 * grpc.testing.TestService, which the interop clients of all languages call
 * (https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md).
 */
export function createTestService({
  maxMessageSize,
  freeBytes,
  hostname,
  serverId,
  reports,
  // A monotonic clock, as the cache depends on it.
  now = () => performance.timeOrigin + performance.now(),
}: TestServiceOptions): Omit<TestServiceImplementation<Call>, 'unimplementedCall'> {
  const makePayload = createPayloads({ maxMessageSize, freeBytes });
  const cached = createTestCache(now);
  const enter = createBacklog();

  return {
    async emptyCall(_request, context) {
      enterCall(context);
      return {};
    },

    async unaryCall(request, context) {
      enterCall(context);
      const { orcaPerQueryReport: report, responseType: type, responseSize: size } = request;
      checkCompressed(request.expectCompressed, context);
      if (report) context.trailer.set(loadReportTrailer, encodeTestReport(report));
      throwAsked(request.responseStatus);
      const payload = await makePayload({ type, size }, context);
      compress(context, request.responseCompressed?.value);
      return {
        payload,
        hostname,
        ...(request.fillServerId && { serverId }),
        ...(request.fillUsername && { username: context.connection?.tls?.client ?? '' }),
      };
    },

    async cacheableUnaryCall(request, context) {
      enterCall(context);
      context.header.set('cache-control', 'max-age=60, public');
      return { payload: cached(request) };
    },

    async *streamingOutputCall(request, context) {
      begin(context);
      yield* respond(request, context);
    },

    async streamingInputCall(requests, context) {
      enterCall(context);
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
      const waiting = enter();
      try {
        const { retain } = context;
        const collected = await collectRequests(requests, { waiting, retain });
        checkResponses(collected, maxMessageSize);
        for (const request of collected) yield* send(request, context);
      } finally {
        waiting.clear();
      }
    },
  };

  /** Sends the headers of a stream at once, and announces that its messages may be compressed. */
  function enterCall(context: Call): void {
    echo(context, hostname);
    // Clients prefer a call's own report, which would hide the one that a test has set.
    if (reports.current()) context.trailer.delete(loadReportTrailer);
  }

  function begin(context: Call): void {
    enterCall(context);
    compress(context);
    context.sendHeader();
  }

  async function* respond(request: StreamingOutputCallRequest, context: Call) {
    const waiting = enter();
    try {
      waiting.add(request.responseParameters.length);
      checkResponses([request], maxMessageSize);
      yield* send(request, context);
    } finally {
      waiting.clear();
    }
  }

  async function* send(request: Asked, context: Call) {
    const { responseType: type, responseParameters } = request;
    throwAsked(request.responseStatus);
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
