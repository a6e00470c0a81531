import { once } from 'node:events';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';

/** A TCP port on an interface, or the path of a unix socket. */
export type ListenAddress = { host: string; port: number } | { path: string };

/** What TLS is served with, in PEM. */
export interface TlsFiles {
  cert: string | Buffer;
  key: string | Buffer;
  /** Who signs the clients' certificates: with it, only clients that have one are served. */
  clientCa?: string | Buffer | undefined;
}

/** The sockets that a server listens on. */
export class Listeners {
  readonly #onSocket: (socket: Socket) => void;
  readonly #servers: Server[] = [];

  constructor(onSocket: (socket: Socket) => void) {
    this.#onSocket = onSocket;
  }

  /** Listens on an address; gives the port, if it has one. Throws Node's own errors. */
  async listen(address: ListenAddress, tls?: TlsFiles): Promise<number | undefined> {
    const server = tls ? await this.#createTlsServer(tls) : createServer(this.#onSocket);
    const options: ListenOptions = { backlog: 4096, ...address };
    await once(server.listen(options), 'listening');
    this.#servers.push(server);
    const bound = server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : undefined;
  }

  async #createTlsServer(tls: TlsFiles): Promise<Server> {
    const { createServer: createTls } = await import('node:tls');
    return createTls(tlsOptions(tls), this.#onSocket).on('tlsClientError', () => {});
  }

  /** Takes no more connections. */
  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
  }
}

/** A handshake that takes longer is cut, in milliseconds. */
const handshakeTimeout = 10_000;

function tlsOptions({ cert, key, clientCa }: TlsFiles): TlsOptions {
  return {
    cert,
    key,
    // RFC 9113 section 9.2: TLS 1.2 or higher.
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['h2'],
    handshakeTimeout,
    ...(clientCa && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  };
}
