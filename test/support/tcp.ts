import { once } from 'node:events';
import type { Server } from 'node:net';

/** Listens on a port of this machine, by default a free one; returns the port. */
export async function listenTcp(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('Cannot listen on TCP');
  return address.port;
}
