import {
  createFileRegistry,
  type DescFile,
  type FileRegistry,
  fromBinary,
  toBinary,
} from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { Status } from 'nice-grpc-common';
import type { Call } from '../context.ts';
import { type CallError, notFound } from '../errors.ts';
import { descriptorSet } from '../gen/descriptor_set.ts';
import type {
  ServerReflectionRequest,
  ServerReflectionResponse,
  ServerReflectionServiceImplementation,
} from '../gen/grpc/reflection/v1/reflection.ts';

type Answer = Omit<Partial<ServerReflectionResponse>, 'validHost' | 'originalRequest'>;

/**
 * grpc.reflection.v1.ServerReflection, and v1alpha, whose messages are the same
 * (https://grpc.io/docs/guides/reflection/), from the descriptors built into this file.
 */
export function createReflection(
  services: readonly string[],
): ServerReflectionServiceImplementation<Call> {
  let all: Known | undefined;

  return {
    async *serverReflectionInfo(requests) {
      all ??= readDescriptors();
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, ...answer(request, all) };
      }
    },
  };

  function answer(request: ServerReflectionRequest, { symbols, registry }: Known): Answer {
    if (request.listServices !== undefined) {
      return { listServicesResponse: { service: services.map((name) => ({ name })) } };
    }
    if (request.fileByFilename !== undefined) {
      const name = request.fileByFilename;
      return files(registry.getFile(name), notFound('file', name));
    }
    if (request.fileContainingSymbol !== undefined) {
      const name = request.fileContainingSymbol;
      return files(symbols.get(name), notFound('symbol', name));
    }
    if (request.fileContainingExtension !== undefined) {
      const { containingType, extensionNumber } = request.fileContainingExtension;
      const type = registry.getMessage(containingType);
      const missing = notFound('extension', `${containingType}[${extensionNumber}]`);
      return files(type && registry.getExtensionFor(type, extensionNumber)?.file, missing);
    }
    if (request.allExtensionNumbersOfType !== undefined) {
      return extensionNumbers(registry, request.allExtensionNumbersOfType);
    }
    return failed(Status.INVALID_ARGUMENT, 'Cannot answer this request: no question in it');
  }
}

interface Known {
  registry: FileRegistry;
  /** Where each name is declared. */
  symbols: ReadonlyMap<string, DescFile>;
}

function readDescriptors(): Known {
  const registry = createFileRegistry(
    fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, 'base64')),
  );
  const symbols = new Map<string, DescFile>();
  for (const file of registry.files) {
    for (const name of namesOf(file.proto)) symbols.set(name, file);
  }
  return { registry, symbols };
}

/** The full name of all that a file declares, as grpc-go's protoregistry finds it. */
function* namesOf(file: FileDescriptorProto): Generator<string> {
  const { package: scope, messageType: nestedType, enumType, extension, service } = file;
  yield* namesIn(scope, { nestedType, enumType, extension, field: [], oneofDecl: [] });
  for (const { name, method } of service) {
    const path = inScope(scope, name);
    yield path;
    for (const each of method) yield inScope(path, each.name);
  }
}

type Declared = Pick<
  DescriptorProto,
  'nestedType' | 'enumType' | 'extension' | 'field' | 'oneofDecl'
>;

function* namesIn(scope: string, declared: Declared): Generator<string> {
  const { nestedType, enumType, extension, field, oneofDecl } = declared;
  for (const { name } of [...extension, ...field, ...oneofDecl]) yield inScope(scope, name);
  for (const { name, value } of enumType) {
    const path = inScope(scope, name);
    yield path;
    for (const each of value) {
      yield inScope(scope, each.name);
      // protobuf has no such name, so it can mean nothing else, and it is what many would write.
      yield inScope(path, each.name);
    }
  }
  for (const message of nestedType) {
    const path = inScope(scope, message.name);
    yield path;
    yield* namesIn(path, message);
  }
}

function inScope(scope: string, name: string): string {
  return scope === '' ? name : `${scope}.${name}`;
}

function extensionNumbers(registry: FileRegistry, name: string): Answer {
  if (!registry.getMessage(name)) return refusal(notFound('message type', name));
  const extensionNumber = [...registry]
    .filter((desc) => desc.kind === 'extension')
    .filter(({ extendee }) => extendee.typeName === name)
    .map(({ number }) => number);
  return { allExtensionNumbersResponse: { baseTypeName: name, extensionNumber } };
}

/** The file and all that it imports, each once, itself first. */
function files(file: DescFile | undefined, missing: CallError): Answer {
  if (!file) return refusal(missing);
  const all = new Set([file]);
  for (const each of all) for (const dependency of each.dependencies) all.add(dependency);
  const fileDescriptorProto = [...all].map(({ proto }) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, proto)),
  );
  return { fileDescriptorResponse: { fileDescriptorProto } };
}

function refusal({ code, details }: CallError): Answer {
  return failed(code, details);
}

function failed(errorCode: Status, errorMessage: string): Answer {
  return { errorResponse: { errorCode, errorMessage } };
}
