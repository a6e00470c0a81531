import { createClient } from 'nice-grpc';
import { Metadata } from 'nice-grpc-common';
import { ResponseParameters } from '../../src/gen/grpc/testing/messages.ts';
import { TestServiceDefinition } from '../../src/gen/grpc/testing/test.ts';
import { serve, type ServeOptions } from '../support/harness.ts';

/** A server, and a client of its test service. */
export async function serveTests(options: ServeOptions = {}) {
  const running = await serve(options);
  return { ...running, test: createClient(TestServiceDefinition, running.channel) };
}

/** The parameters of a response: its size, the pause before it, and others. */
export function response(size: number, more: Partial<ResponseParameters> = {}): ResponseParameters {
  return ResponseParameters.fromPartial({ size, ...more });
}

/** The sizes of the responses' payloads. */
export async function sizes(
  responses: AsyncIterable<{ payload?: { body: Uint8Array } | undefined }>,
): Promise<(number | undefined)[]> {
  return Array.fromAsync(responses, ({ payload }) => payload?.body.length);
}

/** Metadata for a call to be echoed, and the echo. */
export function echoed() {
  const heard = { header: Metadata(), trailer: Metadata() };
  const metadata = Metadata()
    .append('x-grpc-test-echo-initial', 'first')
    .append('x-grpc-test-echo-trailing-bin', Buffer.from([0xab, 0xab, 0xab]));
  return {
    heard,
    options: {
      metadata,
      onHeader: (header: Metadata) => void (heard.header = header),
      onTrailer: (trailer: Metadata) => void (heard.trailer = trailer),
    },
  };
}
