// Our engine, bare.
import { GreeterDefinition } from '../../src/gen/greet.ts';
import { createServer } from '../../src/grpc/server.ts';
import { service } from './service.ts';

const server = createServer();
server.add(GreeterDefinition, service);
console.log(JSON.stringify({ port: await server.listen({ host: '127.0.0.1', port: 0 }) }));
