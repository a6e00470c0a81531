import { type DescFile, type FileRegistry, toBinary } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt';
import { Status } from 'nice-grpc-common';
import { notFoundText } from '../errors.ts';
import type {
  ServerReflectionRequest,
  ServerReflectionResponse,
} from '../gen/grpc/reflection/v1/reflection.ts';
import { descriptors } from './descriptors.ts';

type Answer = Omit<Partial<ServerReflectionResponse>, 'validHost' | 'originalRequest'>;

/** Answers one request of reflection. */
export type AnswerQuestion = (
  request: ServerReflectionRequest,
) => Partial<ServerReflectionResponse>;

/** Creates the function that answers requests, from the descriptors built into this file. */
export function createAnswers(serviceNames: readonly string[]): AnswerQuestion {
  const listServicesResponse = { service: serviceNames.map((name) => ({ name })) };
  const known = readDescriptors();

  return (request) => {
    if (isTooLong(request)) return tooLong;
    return { validHost: request.host, originalRequest: request, ...answer(request) };
  };

  function answer(request: ServerReflectionRequest): Answer {
    const { symbols, registry } = known;
    if (request.listServices !== undefined) return { listServicesResponse };
    if (request.fileByFilename !== undefined) {
      const name = request.fileByFilename;
      return known.files(registry.getFile(name)) ?? missing('file', name);
    }
    if (request.fileContainingSymbol !== undefined) {
      const name = request.fileContainingSymbol;
      return known.files(symbols.get(name)) ?? missing('symbol', name);
    }
    if (request.fileContainingExtension !== undefined) {
      const { containingType, extensionNumber } = request.fileContainingExtension;
      const type = registry.getMessage(containingType);
      const file = type && registry.getExtensionFor(type, extensionNumber)?.file;
      return known.files(file) ?? missing('extension', `${containingType}[${extensionNumber}]`);
    }
    if (request.allExtensionNumbersOfType !== undefined) {
      return extensionNumbers(known, request.allExtensionNumbersOfType);
    }
    return failed(Status.INVALID_ARGUMENT, 'Cannot answer this request: it is empty');
  }
}

/** The maximum length of all strings of a request, in characters, as the response repeats the request. */
const longestWords = 1000;

function isTooLong(request: ServerReflectionRequest): boolean {
  const { host, fileByFilename, fileContainingSymbol, allExtensionNumbersOfType } = request;
  const { containingType } = request.fileContainingExtension ?? {};
  const names = [fileByFilename, fileContainingSymbol, containingType, request.listServices];
  const words = [host, ...names, allExtensionNumbersOfType];
  return words.reduce((sum, word) => sum + (word?.length ?? 0), 0) > longestWords;
}

/** The request is not repeated. */
const tooLong = failed(
  Status.INVALID_ARGUMENT,
  `Cannot answer this request: at most ${longestWords} characters in its names`,
);

interface Known {
  registry: FileRegistry;
  /** The declaring file of each symbol. */
  symbols: ReadonlyMap<string, DescFile>;
  /** The extension numbers of each extended message. */
  extensions: ReadonlyMap<string, number[]>;
  /** The response with a file and its transitive imports, each once, the file first. */
  files: (file: DescFile | undefined) => Answer | undefined;
}

function readDescriptors(): Known {
  const registry = descriptors();
  const symbols = new Map<string, DescFile>();
  for (const file of registry.files) {
    for (const name of namesOf(file.proto)) symbols.set(name, file);
  }
  const extensions = new Map<string, number[]>();
  for (const desc of registry) {
    if (desc.kind !== 'extension') continue;
    const { typeName } = desc.extendee;
    extensions.set(typeName, [...(extensions.get(typeName) ?? []), desc.number]);
  }
  return { registry, symbols, extensions, files: createFileAnswers() };
}

/** Encoded once, on demand: that takes a thousand times as long as a request. */
function createFileAnswers(): Known['files'] {
  const encoded = new Map<DescFile, Buffer>();
  const answers = new Map<DescFile, Answer>();

  return (file) => {
    const made = file && (answers.get(file) ?? make(file));
    if (made) answers.set(file, made);
    return made;
  };

  function make(file: DescFile): Answer {
    const all = new Set([file]);
    for (const each of all) for (const dependency of each.dependencies) all.add(dependency);
    return { fileDescriptorResponse: { fileDescriptorProto: [...all].map(encode) } };
  }

  function encode(file: DescFile): Buffer {
    const bytes = encoded.get(file) ?? Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto));
    encoded.set(file, bytes);
    return bytes;
  }
}

/** The full names of a file's declarations, as grpc-go's protoregistry has them. */
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
      // An enum value in the scope of its enum: protobuf does not use that name, but many users would write it.
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

function extensionNumbers({ registry, extensions }: Known, name: string): Answer {
  if (!registry.getMessage(name)) return missing('message type', name);
  const extensionNumber = extensions.get(name) ?? [];
  return { allExtensionNumbersResponse: { baseTypeName: name, extensionNumber } };
}

/** Not an Error, whose stack would take ten times as long as the response. */
function missing(kind: string, name: string): Answer {
  return failed(Status.NOT_FOUND, notFoundText(kind, name));
}

function failed(errorCode: Status, errorMessage: string): Answer {
  return { errorResponse: { errorCode, errorMessage } };
}
