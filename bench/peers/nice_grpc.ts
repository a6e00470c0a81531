// nice-grpc on grpc-js without middleware.
import { createServer } from 'nice-grpc';
import { EchoDefinition } from '../../test/echo/gen/echo.ts';
import { service } from './service.ts';

const server = createServer();
server.add(EchoDefinition, service);
console.log(JSON.stringify({ port: await server.listen('127.0.0.1:0') }));
