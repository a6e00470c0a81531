// The server under test of Connect's conformance suite: test/foreign/conformance.py runs it.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { createCallCounts } from '../../src/observability/call_counts.ts';
import { createLog } from '../../src/observability/log.ts';
import { withChain } from '../../src/transport/server.ts';
import { createConformance } from './conformance_service.ts';
import {
  ServerCompatRequest,
  ServerCompatResponse,
} from './gen/connectrpc/conformance/v1/server_compat.ts';
import { ConformanceServiceDefinition } from './gen/connectrpc/conformance/v1/service.ts';
import { readSized, sized } from './sized.ts';
import { createEngine } from '../support/engine.ts';

const host = '127.0.0.1';
/** The maximum length of a gRPC message. */
const anySize = 2 ** 32 - 1;

const request = ServerCompatRequest.decode(await readSized(process.stdin));
const { useTls, serverCreds, clientTlsCert, messageReceiveLimit } = request;
const tls = useTls && serverCreds ? { ...serverCreds, clientCa: orNone(clientTlsCert) } : undefined;
if (useTls && !tls) throw new Error('Cannot serve with TLS: there are no server_creds');

const { log, close } = await createLog({ level: 'info', format: 'json', to: process.stderr.fd });
// Before the first call, whose deadline it would delay.
const descriptors = readDescriptors();
const limits = { maxConcurrentStreams: 1000, maxMessageSize: messageReceiveLimit || anySize };
const engine = await createEngine('direct', limits, {
  web: { descriptors: async () => descriptors, isReady: () => true, corsOrigins: 'off' },
});
const server = withChain(engine, {
  log,
  counts: createCallCounts([]),
  deadlines: { max: 3_600_000, fallback: undefined },
  maxInFlight: 10_000,
});
server.add(ConformanceServiceDefinition, createConformance());
const port = await server.listen({ host, port: 0 }, tls);

process.once('SIGTERM', () => {
  server.forceShutdown();
  void close();
});
const response = { host, port: port ?? 0, pemCert: tls?.cert ?? Buffer.alloc(0) };
process.stdout.write(sized(ServerCompatResponse.encode(response).finish()));

function readDescriptors() {
  const buf = join(import.meta.dirname, '../../node_modules/.bin/buf');
  const proto = join(import.meta.dirname, 'proto');
  const set = execFileSync(buf, ['build', proto, '--as-file-descriptor-set', '-o', '-']);
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, set));
}

function orNone(bytes: Buffer): Buffer | undefined {
  return bytes.length > 0 ? bytes : undefined;
}
