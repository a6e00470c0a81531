import {
  TestServiceDefinition,
  XdsUpdateHealthServiceDefinition,
} from '../../gen/grpc/testing/test.ts';

const { methods } = TestServiceDefinition;

/** grpc.testing.TestService without UnimplementedCall, which clients expect to be unimplemented. */
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

const { setServing, setNotServing } = XdsUpdateHealthServiceDefinition.methods;

/** grpc.testing.XdsUpdateHealthService without the hooks, which only gRPC's own images have. */
export const ServedUpdateHealthDefinition = {
  ...XdsUpdateHealthServiceDefinition,
  methods: { setServing, setNotServing },
} as const;
