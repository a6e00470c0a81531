import { BinaryReader } from '@bufbuild/protobuf/wire';
import { exhausted } from '../errors.ts';
import { StreamingOutputCallRequest } from '../gen/grpc/testing/messages.ts';
import { TestServiceDefinition } from '../gen/grpc/testing/test.ts';

/** How many responses one request may ask for: the C++ client does ask for so many, in slow_consumer. */
export const maxResponses = 2000;

/** RESOURCE_EXHAUSTED, for a request that asks for more. */
export function tooManyResponses() {
  return exhausted('send these responses', `at most ${maxResponses} for one request`);
}

/** Two bytes on the wire ask for one response, and become an object: there is to be no end of them before they are counted. */
const boundedRequest: typeof StreamingOutputCallRequest = {
  ...StreamingOutputCallRequest,
  decode(input, length) {
    if (!(input instanceof BinaryReader)) countResponses(input);
    return StreamingOutputCallRequest.decode(input, length);
  },
};

const { methods } = TestServiceDefinition;

/**
 * What is served of grpc.testing.TestService: all but UnimplementedCall, which nobody serves, so that
 * clients learn what comes of it. A request that asks for too many responses is not even decoded.
 */
export const ServedTestDefinition = {
  ...TestServiceDefinition,
  methods: {
    emptyCall: methods.emptyCall,
    unaryCall: methods.unaryCall,
    cacheableUnaryCall: methods.cacheableUnaryCall,
    streamingOutputCall: { ...methods.streamingOutputCall, requestType: boundedRequest },
    streamingInputCall: methods.streamingInputCall,
    fullDuplexCall: { ...methods.fullDuplexCall, requestType: boundedRequest },
    halfDuplexCall: { ...methods.halfDuplexCall, requestType: boundedRequest },
  },
} as const;

/** The field's number in StreamingOutputCallRequest. */
const responseParameters = 2;

function countResponses(bytes: Uint8Array): void {
  const reader = new BinaryReader(bytes);
  let count = 0;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === responseParameters && ++count > maxResponses) throw tooManyResponses();
    reader.skip(wireType, field);
  }
}
