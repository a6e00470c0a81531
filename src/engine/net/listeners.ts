import { once } from 'node:events';
import { createServer, type ListenOptions, type Server, Socket } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import type { Incident } from '../http2/incident.ts';
import { ClientChains } from './client_chains.ts';
import type { PeerAddress } from './connection_info.ts';
import { handshakeIncident } from './handshake_failures.ts';
import { Handshakes } from './handshakes.ts';
import { secureOptions, type TlsFiles, tlsOptions } from './tls_options.ts';

/** A TCP port on an interface, or the path of a unix socket. */
export type ListenAddress = { host: string; port: number } | { path: string };

/** Told what goes wrong with a socket, which may be gone by then. */
export type ReportOfSocket = (incident: Incident, socket: PeerAddress) => void;

interface ListenersOptions {
  onSocket: (socket: Socket) => void;
  /** TLS handshakes that may be under way at once, on all addresses together; see Handshakes. */
  maxHandshakes?: number | undefined;
  report?: ReportOfSocket | undefined;
  /** Whether clients of TLS may choose HTTP/1.1. */
  speaksHttp1?: boolean | undefined;
}

const defaultMaxHandshakes = 256;
/**
 * For each that is under way so many can wait: a socket that nothing is read of takes 3 KiB or so. With
 * certificates of clients fewer are under way in the same memory; see config/memory.ts.
 */
const waitingForEach = 4;
const waitingForEachWithCertificate = 32;
/**
 * Bytes of certificates for each handshake that can be under way, which there is room for: as many may be kept
 * after it.
 */
const chainForEach = 64 * 1024;

/** What a handshake takes that is under way, in bytes. */
const handshakeCost = 64 * 1024;

/** The sockets that a server listens on. */
export class Listeners {
  readonly #onSocket: (socket: Socket) => void;
  readonly #handshakes: Handshakes;
  readonly #chains: ClientChains;
  readonly #report: ReportOfSocket;
  readonly #speaksHttp1: boolean;
  readonly #servers: Server[] = [];
  readonly #tlsServers: TlsServer[] = [];

  constructor({
    onSocket,
    maxHandshakes = defaultMaxHandshakes,
    report = () => {},
    speaksHttp1 = false,
  }: ListenersOptions) {
    this.#onSocket = onSocket;
    this.#speaksHttp1 = speaksHttp1;
    this.#report = report;
    const message = `Cannot take more than ${maxHandshakes} TLS handshakes at once`;
    this.#handshakes = new Handshakes({
      max: maxHandshakes,
      onDrop: (socket) => report({ reason: 'handshake_dropped', message }, socket),
    });
    const mostOfChains = chainForEach * maxHandshakes;
    this.#chains = new ClientChains({
      max: mostOfChains,
      onDrop: (socket) =>
        report({ reason: 'handshake_dropped', message: tooLong(mostOfChains) }, socket),
    });
  }

  /** Bytes that handshakes take which are under way. */
  get heldBytes(): number {
    return this.#handshakes.open * handshakeCost;
  }

  /** Listens on an address; gives the port, if it has one. Throws Node's own errors. */
  async listen(address: ListenAddress, tls?: TlsFiles): Promise<number | undefined> {
    const onSocket = 'path' in address ? this.#onSocket : (socket: Socket) => this.#onTcp(socket);
    const server = tls ? await this.#createTlsServer(tls, onSocket) : createServer(onSocket);
    const options: ListenOptions = { backlog: 4096, ...address };
    await once(server.listen(options), 'listening');
    // A connection that could not be accepted is lost; the next one may be.
    server.on('error', () => {});
    this.#servers.push(server);
    const bound = server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : undefined;
  }

  /** Node remembers a peer's address once it was asked; later, of one that is gone, it can say none. */
  #onTcp(socket: Socket): void {
    if (socket.remoteAddress === undefined) socket.destroy();
    else this.#onSocket(socket);
  }

  async #createTlsServer(tls: TlsFiles, onSocket: (socket: Socket) => void): Promise<Server> {
    const { createServer: createTls } = await import('node:tls');
    const tlsServer = createTls(tlsOptions(tls, { speaksHttp1: this.#speaksHttp1 }), (socket) => {
      const raw = rawOf(socket);
      if (raw) this.#handshakes.end(raw);
      onSocket(socket);
      if (raw && tls.clientCa) this.#chains.take(socket, raw);
    });
    tlsServer.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      this.#reportHandshake(error, socket);
      // After its timeout Node only tells of it.
      socket.destroy();
    });
    this.#tlsServers.push(tlsServer);
    // That one listens nowhere: it is given each socket when its turn has come.
    const canWait = tls.clientCa ? waitingForEachWithCertificate : waitingForEach;
    return createServer({ pauseOnConnect: true }, (socket) => {
      const begin = () => tlsServer.emit('connection', socket);
      this.#handshakes.accept(socket, { begin, waitingForEach: canWait });
    });
  }

  #reportHandshake({ code }: NodeJS.ErrnoException, socket: TLSSocket): void {
    // It still knows its peer when the other one has forgotten: see #onTcp().
    const raw = rawOf(socket) ?? socket;
    if (this.#handshakes.hasDropped(raw)) return;
    const { bytesRead } = raw;
    const { authorizationError } = socket;
    const incident = handshakeIncident(code, { bytesRead, authorizationError });
    if (incident) this.#report(incident, raw);
  }

  /** Serves new handshakes with these files; open connections go on. Throws what OpenSSL says. */
  setTls(tls: TlsFiles): void {
    for (const server of this.#tlsServers) server.setSecureContext(secureOptions(tls));
  }

  /** Takes no more connections. */
  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
  }
}

function tooLong(most: number): string {
  return `Cannot keep more than ${most} bytes of long certificate chains that clients have shown`;
}

/**
 * What a server has accepted, and made this one of. Node has no public way from one to the other, and
 * peers on a unix socket have no names by which to find it.
 */
function rawOf(socket: TLSSocket): Socket | undefined {
  // oxlint-disable-next-line no-underscore-dangle
  const raw = '_parent' in socket ? socket._parent : undefined;
  return raw instanceof Socket ? raw : undefined;
}
