import { TestServiceDefinition } from '../gen/grpc/testing/test.ts';

const { methods } = TestServiceDefinition;

/**
 * What is served of grpc.testing.TestService: all but UnimplementedCall, which nobody serves, so that
 * clients learn what comes of it.
 */
export const ServedTestDefinition = {
  ...TestServiceDefinition,
  methods: {
    emptyCall: methods.emptyCall,
    unaryCall: methods.unaryCall,
    cacheableUnaryCall: methods.cacheableUnaryCall,
    streamingOutputCall: methods.streamingOutputCall,
    streamingInputCall: methods.streamingInputCall,
    fullDuplexCall: methods.fullDuplexCall,
    halfDuplexCall: methods.halfDuplexCall,
  },
} as const;
