import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http2';
import { Status } from 'nice-grpc-common';
import type { EngineName } from '../../src/transport/engine_types.ts';
import { serve, until } from '../support/harness.ts';
import { dialHttp2 } from '../support/tls.ts';
import type { Behaviour } from './behaviours.ts';

/** The outcome of a behaviour. */
export type Outcome = Pick<Behaviour, 'status' | 'logged' | 'handled'>;

/** Plays a behaviour on a new server, and waits until nothing of it is open. */
export async function play(engine: EngineName, behaviour: Behaviour): Promise<Outcome> {
  let handled = 0;
  const count = <T>(reply: T): T => {
    handled++;
    return reply;
  };
  const all = async (requests: AsyncIterable<unknown>) => {
    count(0);
    for await (const _ of requests);
    return {};
  };
  await using running = await serve({
    engine,
    maxMessageSize: 50_000,
    echo: {
      unary: async () => count({}),
      async *serverStream() {
        yield count({});
      },
      clientStream: all,
      async *bidi(requests) {
        yield await all(requests);
      },
    },
  });
  const status = await send(engine, running.address, behaviour);
  await until(() => running.counts().calls === 0);
  const logged = running.log.lines.map((line) => String(line['rpc.status_code']));
  return { status, logged, handled };
}

async function send(
  engine: EngineName,
  address: string,
  { path, headers, body, after = 'end' }: Behaviour,
): Promise<string> {
  const { session } = dialHttp2(address);
  await once(session, 'connect');
  const stream = session.request(
    {
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    },
    { endStream: false },
  );
  let status = '';
  const read = (fields: IncomingHttpHeaders) => {
    const http = String(fields[':status'] ?? 200);
    if (http !== '200') status = `HTTP ${http}`;
    const code = fields['grpc-status'];
    if (code !== undefined) status = Status[Number(code)] ?? String(code);
  };
  stream
    .on('response', read)
    .on('trailers', read)
    .on('error', () => {});
  stream.resume();
  if (body.length > 0) stream.write(body);
  if (after === 'end') stream.end();
  // The PING ACK shows that the server has received it.
  await new Promise<void>((resolve) => void session.ping(() => resolve()));
  if (after === 'reset') stream.close(8);
  if (after === 'nothing' && engine === 'grpc-js') {
    // The server answers, and the request stays open.
    await until(() => status !== '');
    stream.close(8);
  }
  if (!stream.closed) await once(stream, 'close');
  session.destroy();
  return status;
}
