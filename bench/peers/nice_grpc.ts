// nice-grpc on grpc-js, bare.
import { createServer } from 'nice-grpc';
import { GreeterDefinition } from '../../src/gen/greet.ts';
import { service } from './service.ts';

const server = createServer();
server.add(GreeterDefinition, service);
console.log(JSON.stringify({ port: await server.listen('127.0.0.1:0') }));
