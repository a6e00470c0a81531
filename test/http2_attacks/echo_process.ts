// The attacked server, in its own process. Its options are JSON in the first argument.
import type { Serve } from '../../src/engine/http2/stream.ts';
import { echo, serveEcho } from '../support/http2_echo.ts';
import { obey, stopClock } from './control_channel.ts';
import { createHttp2Server } from '../support/engine.ts';

stopClock();
const server = createHttp2Server({ ...JSON.parse(process.argv[2] ?? '{}'), serve });
obey(await serveEcho(server), () => {
  const { openConnections, openStreams, bufferedBytes } = server;
  return { openConnections, openStreams, bufferedBytes, openCalls: 0, unlogged: 0, logged: {} };
});

/**
 * The echo, except for two paths: `/silent` is never read or answered, and `/late` gets its megabyte in a later turn.
 */
function serve(...[stream, request]: Parameters<Serve>): ReturnType<Serve> {
  const { overLimit } = request;
  if (overLimit !== undefined) return echo(stream, request);
  if (request.path === '/late') setImmediate(echo, stream, { ...request, path: '/1000000' });
  else if (request.path !== '/silent') return echo(stream, request);
  return { data() {}, end() {}, reset() {}, failed() {}, expire() {}, drain() {}, sent() {} };
}
