import {
  type AnyDesc,
  createFileRegistry,
  type DescFile,
  type FileRegistry,
  fromBinary,
  toBinary,
} from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
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
  let registry: FileRegistry | undefined;

  return {
    async *serverReflectionInfo(requests) {
      registry ??= readDescriptors();
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, ...answer(request, registry) };
      }
    },
  };

  function answer(request: ServerReflectionRequest, known: FileRegistry): Answer {
    if (request.listServices !== undefined) {
      return { listServicesResponse: { service: services.map((name) => ({ name })) } };
    }
    if (request.fileByFilename !== undefined) {
      const name = request.fileByFilename;
      return files(known.getFile(name), notFound('file', name));
    }
    if (request.fileContainingSymbol !== undefined) {
      const name = request.fileContainingSymbol;
      return files(findSymbol(known, name), notFound('symbol', name));
    }
    if (request.fileContainingExtension !== undefined) {
      const { containingType, extensionNumber } = request.fileContainingExtension;
      const type = known.getMessage(containingType);
      const missing = notFound('extension', `${containingType}[${extensionNumber}]`);
      return files(type && known.getExtensionFor(type, extensionNumber)?.file, missing);
    }
    if (request.allExtensionNumbersOfType !== undefined) {
      return extensionNumbers(known, request.allExtensionNumbersOfType);
    }
    return failed(Status.INVALID_ARGUMENT, 'Cannot answer this request: no question in it');
  }
}

function readDescriptors(): FileRegistry {
  return createFileRegistry(
    fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSet, 'base64')),
  );
}

function findSymbol(known: FileRegistry, name: string): DescFile | undefined {
  const found = known.get(name);
  if (found) return found.file;
  // A method, a field, a oneof or an enum value: the name of its parent, then its own.
  const dot = name.lastIndexOf('.');
  const parent = known.get(name.slice(0, Math.max(dot, 0)));
  return parent && memberNames(parent).has(name.slice(dot + 1)) ? parent.file : undefined;
}

function memberNames(desc: AnyDesc): Set<string> {
  const members = [];
  if (desc.kind === 'service') members.push(...desc.methods);
  if (desc.kind === 'message') members.push(...desc.fields, ...desc.oneofs);
  if (desc.kind === 'enum') members.push(...desc.values);
  return new Set(members.map(({ name }) => name));
}

function extensionNumbers(known: FileRegistry, name: string): Answer {
  if (!known.getMessage(name)) return refusal(notFound('message type', name));
  const extensionNumber = [...known]
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
