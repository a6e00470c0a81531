import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { createClient } from 'nice-grpc';
import { serve } from '../../../test/support/harness.ts';
import { ServerReflectionDefinition } from '../../gen/grpc/reflection/v1/reflection.ts';

test('file_containing_symbol finds enums, their values, and nested messages of the interop services', async () => {
  await using running = await serve();
  const client = createClient(ServerReflectionDefinition, running.channel);
  const symbols = [
    'grpc.testing.TestService',
    'grpc.testing.PayloadType',
    'grpc.testing.COMPRESSABLE',
    'grpc.testing.PayloadType.COMPRESSABLE',
    'grpc.testing.LoadBalancerStatsResponse.RpcsByPeer',
    'grpc.testing.LoadBalancerStatsResponse.RpcsByPeer.rpcs_by_peer',
  ];
  const requests = async function* () {
    for (const fileContainingSymbol of symbols) yield { fileContainingSymbol };
  };

  const responses = await Array.fromAsync(client.serverReflectionInfo(requests()));

  const names = responses.map(({ fileDescriptorResponse }) => {
    const [file] = fileDescriptorResponse?.fileDescriptorProto ?? [];
    return file && fromBinary(FileDescriptorProtoSchema, file).name;
  });
  const [service, ...others] = names;
  assert.equal(service, 'grpc/testing/test.proto');
  assert.deepEqual(others, Array(5).fill('grpc/testing/messages.proto'));
});
