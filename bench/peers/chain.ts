// Our engine with the named middleware, in the order of transport/server.ts. The log goes to standard output.
import { deadline } from '../../src/middleware/deadline.ts';
import { hideInternalErrors } from '../../src/middleware/errors.ts';
import { limit } from '../../src/middleware/limit.ts';
import { requestLog } from '../../src/middleware/request_log.ts';
import { createCallCounts } from '../../src/observability/call_counts.ts';
import { createLog } from '../../src/observability/log.ts';
import { methodsOf } from '../../src/transport/catalogue.ts';
import { EchoDefinition } from '../../test/echo/gen/echo.ts';
import { createServer } from '../../test/support/engine.ts';
import { service } from './service.ts';

const names = process.argv.slice(2);
const { log } = await createLog({ level: 'info', format: 'json', to: 1 });
const exempt: ReadonlySet<string> = new Set(['/grpc.health.v1.Health/Watch']);
const methods = methodsOf([{ definition: EchoDefinition, policy: {} }]);
const all = {
  'request log': requestLog({ log, counts: createCallCounts(methods) }),
  errors: hideInternalErrors,
  deadline: deadline({ max: 3_600_000, fallback: undefined, exempt }),
  limit: limit({ max: 10_000 }),
};

let server = createServer();
for (const [name, middleware] of Object.entries(all)) {
  if (names.includes(name)) server = server.use(middleware);
}
server.add(EchoDefinition, service);
console.log(JSON.stringify({ port: await server.listen({ host: '127.0.0.1', port: 0 }) }));
