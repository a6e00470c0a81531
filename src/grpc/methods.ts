import type { CompatServiceDefinition, ServiceDefinition } from 'nice-grpc';
import type { MethodDescriptor } from 'nice-grpc-common';

/** What the engine needs to know of a method. */
export interface MethodCodec extends MethodDescriptor {
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (message: unknown) => Uint8Array;
}

/** The methods of a definition by their names in TypeScript, whoever generated it. */
export function methodsOf(definition: CompatServiceDefinition): [string, MethodCodec][] {
  if (isTsProto(definition)) {
    const { fullName } = definition;
    return Object.entries(definition.methods).map(([key, method]) => [
      key,
      fromTsProto(fullName, method),
    ]);
  }
  // grpc-js's definitions have the same members.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.entries(definition as ServiceDefinition).map(([key, method]) => [
    key,
    {
      path: method.path,
      requestStream: method.requestStream,
      responseStream: method.responseStream,
      options: method.options ?? {},
      decode: (bytes) => method.requestDeserialize(bytes),
      encode: (message) => method.responseSerialize(message),
    },
  ]);
}

interface TsProtoService {
  fullName: string;
  methods: Record<string, TsProtoMethod>;
}

interface TsProtoMethod {
  name: string;
  requestType: { decode(bytes: Uint8Array): unknown };
  requestStream: boolean;
  responseType: {
    encode(message: unknown): { finish(): Uint8Array };
    fromPartial?(message: unknown): unknown;
  };
  responseStream: boolean;
  options: MethodDescriptor['options'];
}

function isTsProto(definition: object): definition is TsProtoService {
  return 'fullName' in definition && 'methods' in definition;
}

function fromTsProto(fullName: string, method: TsProtoMethod): MethodCodec {
  const { name, requestType, requestStream, responseType, responseStream, options } = method;
  return {
    path: `/${fullName}/${name}`,
    requestStream,
    responseStream,
    options,
    decode: (bytes) => requestType.decode(bytes),
    encode(message) {
      const whole = responseType.fromPartial ? responseType.fromPartial(message) : message;
      return responseType.encode(whole).finish();
    },
  };
}
