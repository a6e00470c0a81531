import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { createClient } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { serve, serviceNames } from '../../test/support/harness.ts';
import {
  type DeepPartial,
  ServerReflectionDefinition,
  type ServerReflectionRequest,
  ServerReflectionResponse,
} from '../gen/grpc/reflection/v1/reflection.ts';
import { ServerReflectionDefinition as AlphaDefinition } from '../gen/grpc/reflection/v1alpha/reflection.ts';

/** Sends requests to both versions, and asserts that the responses are equal. */
async function ask(
  ...questions: DeepPartial<ServerReflectionRequest>[]
): Promise<ServerReflectionResponse[]> {
  await using running = await serve();
  const stream = async function* () {
    yield* questions;
  };
  const v1 = createClient(ServerReflectionDefinition, running.channel);
  const alpha = createClient(AlphaDefinition, running.channel);
  const answers = await Array.fromAsync(v1.serverReflectionInfo(stream()));
  assert.deepEqual(await Array.fromAsync(alpha.serverReflectionInfo(stream())), answers);
  return answers;
}

/** The names of the files in a response, in order. */
function fileNames({ fileDescriptorResponse }: ServerReflectionResponse): string[] {
  const files = fileDescriptorResponse?.fileDescriptorProto ?? [];
  return files.map((file) => fromBinary(FileDescriptorProtoSchema, file).name);
}

test('list_services returns every service', async () => {
  const [answer] = await ask({ host: 'here', listServices: '*' });

  const names = answer?.listServicesResponse?.service.map(({ name }) => name);
  assert.deepEqual(names, serviceNames);
  assert.equal(answer?.validHost, 'here');
  assert.equal(answer?.originalRequest?.listServices, '*');
});

test('every contract names its Go package', async () => {
  const answers = await ask(
    ...serviceNames.map((fileContainingSymbol) => ({ fileContainingSymbol })),
  );

  const files = answers.flatMap(
    ({ fileDescriptorResponse }) => fileDescriptorResponse?.fileDescriptorProto ?? [],
  );
  const without = files
    .map((file) => fromBinary(FileDescriptorProtoSchema, file))
    .filter(({ name, options }) => !name.startsWith('google/protobuf/') && !options?.goPackage);
  assert.ok(files.length >= serviceNames.length);
  assert.deepEqual(
    without.map(({ name }) => name),
    [],
  );
});

test('file_by_filename and file_containing_symbol return a file with its comments', async () => {
  const symbols = [
    'grpc.health.v1.Health',
    'grpc.health.v1.Health.Check',
    'grpc.health.v1.HealthCheckRequest',
    'grpc.health.v1.HealthCheckRequest.service',
  ];
  const answers = await ask(
    { fileByFilename: 'grpc/health/v1/health.proto' },
    ...symbols.map((fileContainingSymbol) => ({ fileContainingSymbol })),
  );

  for (const answer of answers) {
    assert.deepEqual(fileNames(answer), ['grpc/health/v1/health.proto']);
  }
  const [file] = answers[0]?.fileDescriptorResponse?.fileDescriptorProto ?? [];
  assert.match(String(file), /Asks for everything/);
});

test('file_containing_symbol finds nested symbols of every kind', async () => {
  const files: Record<string, readonly string[]> = {
    'grpc/health/v1/health.proto': [
      'grpc.health.v1.HealthCheckResponse.ServingStatus',
      // A value is declared beside its enum, but some look for it inside.
      'grpc.health.v1.HealthCheckResponse.SERVING',
      'grpc.health.v1.HealthCheckResponse.ServingStatus.NOT_SERVING',
      // The entry message of a map field.
      'grpc.health.v1.HealthListResponse.StatusesEntry',
      'grpc.health.v1.HealthListResponse.StatusesEntry.value',
    ],
    'grpc/reflection/v1/reflection.proto': [
      'grpc.reflection.v1.ServerReflectionRequest.message_request',
    ],
  };
  const symbols = Object.values(files).flat();

  const answers = await ask(...symbols.map((fileContainingSymbol) => ({ fileContainingSymbol })));

  const found = answers.map((answer, i) => [symbols[i], fileNames(answer)[0]]);
  const expected = Object.entries(files).flatMap(([file, names]) =>
    names.map((name) => [name, file]),
  );
  assert.deepEqual(found, expected);
});

test('an unknown name is NOT_FOUND, an empty request INVALID_ARGUMENT, and the stream continues', async () => {
  const answers = await ask(
    { fileByFilename: 'nope.proto' },
    { fileContainingSymbol: 'nope.Nope' },
    { fileContainingSymbol: '' },
    { fileContainingSymbol: 'grpc.health.v1.Health.Nope' },
    { fileContainingSymbol: 'grpc.health.v1' },
    { fileContainingSymbol: '.grpc.health.v1.Health' },
    { fileContainingSymbol: 'grpc.health.v1.SERVING' },
    {
      fileContainingExtension: {
        containingType: 'grpc.health.v1.HealthCheckRequest',
        extensionNumber: 7,
      },
    },
    { allExtensionNumbersOfType: 'nope.Nope' },
    {},
    { fileByFilename: 'grpc/health/v1/health.proto' },
  );

  assert.deepEqual(
    answers.map(({ errorResponse }) => errorResponse?.errorCode),
    [...Array.from({ length: 9 }, () => Status.NOT_FOUND), Status.INVALID_ARGUMENT, undefined],
  );
  assert.equal(answers[1]?.errorResponse?.errorMessage, 'Cannot find symbol "nope.Nope"');
});

test('a request of more than 1,000 characters is not repeated in the response, and the stream continues', async () => {
  const [half, name] = ['x'.repeat(500), 'x'.repeat(1001)];
  const answers = await ask(
    { fileByFilename: name },
    { fileContainingSymbol: name },
    { fileContainingExtension: { containingType: name, extensionNumber: 7 } },
    { allExtensionNumbersOfType: name },
    { listServices: name },
    { host: name, listServices: '' },
    { host: half, fileByFilename: `${half}x` },
    { host: half, fileByFilename: half },
    { fileByFilename: 'grpc/health/v1/health.proto' },
  );

  const [repeated, found] = answers.splice(-2);
  for (const { originalRequest, errorResponse, validHost } of answers) {
    assert.equal(errorResponse?.errorCode, Status.INVALID_ARGUMENT);
    assert.equal(
      errorResponse.errorMessage,
      'Cannot answer this request: at most 1000 characters in its names',
    );
    assert.deepEqual([originalRequest, validHost], [undefined, '']);
  }
  assert.equal(answers.length, 7);
  assert.partialDeepStrictEqual(repeated, {
    originalRequest: { host: half, fileByFilename: half },
    errorResponse: { errorCode: Status.NOT_FOUND },
  });
  assert.deepEqual(fileNames(found ?? assert.fail()), ['grpc/health/v1/health.proto']);
});

test('a file is encoded once, whatever requests ask for it', async () => {
  const files: unknown[][] = [];
  // The innermost middleware, which sees the responses as the service created them.
  await using running = await serve({
    async *loadReport(call, context) {
      if (!call.responseStream) return yield* call.next(call.request, context);
      for await (const response of call.next(call.request, context)) {
        files.push(
          ServerReflectionResponse.fromPartial(Object(response)).fileDescriptorResponse
            ?.fileDescriptorProto ?? [],
        );
        yield response;
      }
      return undefined;
    },
  });
  const client = createClient(ServerReflectionDefinition, running.channel);
  const questions = async function* () {
    yield { fileByFilename: 'xds/service/orca/v3/orca.proto' };
    yield { fileByFilename: 'xds/data/orca/v3/orca_load_report.proto' };
    yield { fileByFilename: 'xds/service/orca/v3/orca.proto' };
    yield { fileContainingSymbol: 'xds.service.orca.v3.OpenRcaService' };
    yield { fileContainingSymbol: 'xds.data.orca.v3.OrcaLoadReport' };
  };

  await Array.fromAsync(client.serverReflectionInfo(questions()));

  const [service = [], messages = []] = files;
  assert.ok(service.length > 2 && messages.length > 0);
  const [each] = messages;
  assert.ok(service.includes(each));
  const same = (some: unknown[] = [], others: unknown[]) =>
    some.length === others.length && some.every((file, i) => file === others[i]);
  assert.deepEqual(
    [same(files[2], service), same(files[3], service), same(files[4], messages)],
    [true, true, true],
  );
});

test('all_extension_numbers_of_type returns an empty list for a message without extensions', async () => {
  const [answer] = await ask({ allExtensionNumbersOfType: 'grpc.health.v1.HealthCheckRequest' });

  assert.deepEqual(answer?.allExtensionNumbersResponse, {
    baseTypeName: 'grpc.health.v1.HealthCheckRequest',
    extensionNumber: [],
  });
});
