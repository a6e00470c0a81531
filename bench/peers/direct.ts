// Our engine without middleware.
import { EchoDefinition } from '../../test/echo/gen/echo.ts';
import { createServer } from '../../test/support/engine.ts';
import { service } from './service.ts';

// For `npm run bench scale`: limits that the test does not reach.
const wide = {
  limits: { maxConcurrentStreams: 10_000 },
  maxConnections: 20_000,
  maxBufferedBytes: 4 * 1024 ** 3,
};
const server = createServer(process.argv.includes('wide') ? wide : {});
server.add(EchoDefinition, service);
console.log(JSON.stringify({ port: await server.listen({ host: '127.0.0.1', port: 0 }) }));
