import {
  SimpleRequest,
  StreamingOutputCallRequest,
  type StreamingOutputCallRequest as Request,
} from '../../src/gen/grpc/testing/messages.ts';
import type { TestServiceDefinition } from '../../src/gen/grpc/testing/test.ts';
import { ServedTestDefinition } from '../../src/services/interop/definition.ts';
import { pathOf } from '../../src/transport/paths.ts';
import { callOf } from '../http2_attacks/targets.ts';
import {
  type Attacked,
  indexed,
  most,
  repeat,
  type Shape,
  statuses,
  zip,
  zipped,
} from '../pod/payloads.ts';
import { frame } from '../support/raw_client.ts';

/** The setting of a pod that serves them, which the manifests turn off. */
export const interopEnv = { GREETER_INTEROP: 'on' };

const { methods } = ServedTestDefinition;
type Name = keyof typeof methods & keyof (typeof TestServiceDefinition)['methods'];

/** A method of the test service, with payloads of its own. */
export function testMethod(name: Name): Attacked {
  const path = pathOf(ServedTestDefinition, methods[name]);
  return { path, requestStream: methods[name].requestStream, shapes: shapesOf(path, name) };
}

/** The field number of response_status in requests. */
const statusField = 7;

function shapesOf(path: string, name: Name): Record<string, readonly Shape[]> {
  return {
    'a status of 4 MiB': statuses(path, statusField),
    'a status behind a response': [
      {
        block: callOf(path),
        body: Buffer.concat(
          [
            { responseParameters: [{ size: 1 }] },
            { responseStatus: { code: 2, message: 'x'.repeat(4096) } },
          ].map((request) => frame(encoded(StreamingOutputCallRequest.fromPartial(request)))),
        ),
      },
    ],
    'requests that are kept': [
      {
        block: callOf(path, zipped),
        body: repeat(
          zip(
            encoded(
              StreamingOutputCallRequest.fromPartial({
                responseStatus: { message: 'x'.repeat(most) },
              }),
            ),
          ),
          500,
        ),
      },
    ],
    'responses of 4 MiB': [{ block: callOf(path), body: frame(largeResponses(name)) }],
    'metadata that is echoed': [indexed(path, 'x-grpc-test-echo-initial', 1)],
  };
}

function largeResponses(name: Name): Uint8Array {
  const size = 4 * 1024 * 1024 - 64;
  if (name === 'unaryCall') {
    return SimpleRequest.encode(SimpleRequest.fromPartial({ responseSize: size })).finish();
  }
  const responseParameters = Array.from({ length: 16 }, () => ({ size }));
  return encoded(StreamingOutputCallRequest.fromPartial({ responseParameters }));
}

function encoded(request: Request): Buffer {
  return Buffer.from(StreamingOutputCallRequest.encode(request).finish());
}
