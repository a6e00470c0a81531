import type { Client } from 'nice-grpc';
import {
  SimpleRequest,
  StreamingInputCallRequest,
  StreamingOutputCallRequest,
  type StreamingOutputCallResponse,
} from '../../src/gen/grpc/testing/messages.ts';
import type { TestServiceDefinition } from '../../src/gen/grpc/testing/test.ts';
import { response } from '../interop/serve_tests.ts';
import type { Kind } from './kinds.ts';
import { frame } from './raw_client.ts';

/**
 * The method of each kind of grpc.testing.TestService, for tests of the built file, which does not serve echo.proto.
 */
export const testPaths: Record<Kind, string> = {
  unary: '/grpc.testing.TestService/UnaryCall',
  serverStream: '/grpc.testing.TestService/StreamingOutputCall',
  clientStream: '/grpc.testing.TestService/StreamingInputCall',
  bidi: '/grpc.testing.TestService/FullDuplexCall',
};

type TestClient = Client<typeof TestServiceDefinition>;
type CallOptions = Parameters<TestClient['unaryCall']>[1];

/** Three responses of 1, 2 and 3 bytes, with a pause of at most 2,147,483 ms before all but the first. */
export function threeResponses(pauseMs: number): StreamingOutputCallRequest {
  const responseParameters = [1, 2, 3].map((size) =>
    response(size, { intervalUs: size === 1 ? 0 : pauseMs * 1000 }),
  );
  return StreamingOutputCallRequest.fromPartial({ responseParameters });
}

/** Calls the method of a kind; streams send `requests`, and a server stream pauses for so many milliseconds. */
export function callTest(
  client: TestClient,
  kind: Kind,
  {
    requests = one(ping()),
    pauseMs = 0,
    ...options
  }: CallOptions & {
    requests?: AsyncIterable<StreamingOutputCallRequest>;
    pauseMs?: number;
  } = {},
): Promise<unknown[]> {
  const calls: Record<Kind, () => Promise<unknown[]>> = {
    unary: () => client.unaryCall({ responseSize: 1 }, options).then((reply) => [reply]),
    serverStream: () =>
      Array.fromAsync(client.streamingOutputCall(threeResponses(pauseMs), options)),
    clientStream: () => client.streamingInputCall(requests, options).then((reply) => [reply]),
    bidi: () => Array.fromAsync(client.fullDuplexCall(requests, options)),
  };
  return calls[kind]();
}

/** A request of a bidirectional call, for a response of so many bytes. */
export function ping(size = 1): StreamingOutputCallRequest {
  return StreamingOutputCallRequest.fromPartial({ responseParameters: [response(size)] });
}

/** A request stream with one message that does not end. */
export async function* unendingPing(): AsyncGenerator<StreamingOutputCallRequest> {
  yield ping();
  await new Promise(() => {});
}

/** The size of a response's payload in bytes. */
export function sizeOf({ payload }: Partial<StreamingOutputCallResponse>): number | undefined {
  return payload?.body.length;
}

/** An encoded request of UnaryCall with its prefix, for a response of so many bytes. */
export function simpleRequest(responseSize = 1): Buffer {
  return frame(SimpleRequest.encode(SimpleRequest.fromPartial({ responseSize })).finish());
}

/** An encoded request of StreamingOutputCall or FullDuplexCall with its prefix. */
export function outputRequest(request: StreamingOutputCallRequest): Buffer {
  return frame(StreamingOutputCallRequest.encode(request).finish());
}

/** An encoded request of StreamingInputCall with its prefix and so many bytes. */
export function inputRequest(size: number): Buffer {
  const request = { payload: { body: Buffer.alloc(size, 'x') } };
  return frame(
    StreamingInputCallRequest.encode(StreamingInputCallRequest.fromPartial(request)).finish(),
  );
}

async function* one<T>(value: T): AsyncGenerator<T> {
  yield value;
}
