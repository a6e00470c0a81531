import { once } from 'node:events';
import { createServer, type ListenOptions, type Server, Socket } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import type { Incident } from '../http2/incident.ts';
import { connectionAccepted } from '../scheduler.ts';
import { ClientChains } from './client_chains.ts';
import type { PeerAddress } from './connection_info.ts';
import { handshakeIncident } from './handshake_failures.ts';
import { Handshakes } from './handshakes.ts';
import { setHighWaterMark } from './socket_buffers.ts';
import { secureOptions, type TlsFiles, tlsOptions } from './tls_options.ts';

/** A host and TCP port, or the path of a unix socket. */
export type ListenAddress = { host: string; port: number } | { path: string };

/** Called for errors of a socket, which may be closed by then. */
export type ReportOfSocket = (incident: Incident, socket: PeerAddress) => void;

interface ListenersOptions {
  onSocket: (socket: Socket) => void;
  /** The maximum number of concurrent TLS handshakes on all addresses; see Handshakes. */
  maxHandshakes: number;
  report?: ReportOfSocket | undefined;
  /** True if TLS clients may choose HTTP/1.1. */
  speaksHttp1?: boolean | undefined;
}

/**
 * Queued sockets per concurrent handshake: an unread socket takes about 3 KiB. With client certificates, fewer
 * handshakes run in the same memory; see config/memory.ts.
 */
const waitingForEach = 4;
const waitingForEachWithCertificate = 32;
/** Bytes of client certificates per concurrent handshake that are kept in total after handshakes. */
const chainForEach = 64 * 1024;

/**
 * A socket that is paused buffers no more than one chunk: otherwise, Node would go on to read small chunks, each of which
 * takes hundreds of bytes. A socket accepts no second write before the first is sent: small ones would keep whole
 * buffers of output in memory.
 */
const buffers = { highWaterMark: 1 };

/** The charge of a handshake in progress, in bytes. */
const handshakeCost = 64 * 1024;

/** The listening sockets of a server. */
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
    maxHandshakes,
    report = () => {},
    speaksHttp1 = false,
  }: ListenersOptions) {
    this.#onSocket = onSocket;
    this.#speaksHttp1 = speaksHttp1;
    this.#report = report;
    const message = `Cannot accept more than ${maxHandshakes} TLS handshakes at once`;
    this.#handshakes = new Handshakes({
      max: maxHandshakes,
      onDrop: (socket) => report({ reason: 'handshake_dropped', message }, socket),
    });
    const maxChainBytes = chainForEach * maxHandshakes;
    this.#chains = new ClientChains({
      max: maxChainBytes,
      onDrop: (socket) =>
        report({ reason: 'handshake_dropped', message: tooLong(maxChainBytes) }, socket),
    });
  }

  /** Bytes charged for handshakes in progress. */
  get heldBytes(): number {
    return this.#handshakes.open * handshakeCost;
  }

  /** Listens on an address; returns the port, if it has one. Throws Node's own errors. */
  async listen(address: ListenAddress, tls?: TlsFiles): Promise<number | undefined> {
    const onSocket = 'path' in address ? this.#onSocket : (socket: Socket) => this.#onTcp(socket);
    const server = tls
      ? await this.#createTlsServer(tls, onSocket)
      : createServer(buffers, onSocket);
    server.on('connection', connectionAccepted);
    const options: ListenOptions = { backlog: 4096, ...address };
    await once(server.listen(options), 'listening');
    // A connection that could not be accepted is lost, but the next one may succeed.
    server.on('error', () => {});
    this.#servers.push(server);
    const bound = server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : undefined;
  }

  /** Node caches a socket's remote address when it is first read, and cannot read it after the socket is closed. */
  #onTcp(socket: Socket): void {
    if (socket.remoteAddress === undefined) socket.destroy();
    else this.#onSocket(socket);
  }

  async #createTlsServer(tls: TlsFiles, onSocket: (socket: Socket) => void): Promise<Server> {
    const { createServer: createTls } = await import('node:tls');
    const tlsServer = createTls(tlsOptions(tls, { speaksHttp1: this.#speaksHttp1 }), (socket) => {
      const raw = rawOf(socket);
      if (raw) this.#handshakes.end(raw);
      setHighWaterMark(socket, buffers.highWaterMark);
      onSocket(socket);
      if (raw && tls.clientCa) this.#chains.take(socket, raw);
    });
    tlsServer.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      this.#reportHandshake(error, socket);
      // Node emits the timeout of a handshake, but does not close its socket.
      socket.destroy();
    });
    this.#tlsServers.push(tlsServer);
    // This server does not listen: it is given each socket when its handshake may start.
    const canWait = tls.clientCa ? waitingForEachWithCertificate : waitingForEach;
    return createServer({ pauseOnConnect: true }, (socket) => {
      const begin = () => tlsServer.emit('connection', socket);
      this.#handshakes.accept(socket, { begin, waitingForEach: canWait });
    });
  }

  #reportHandshake({ code }: NodeJS.ErrnoException, socket: TLSSocket): void {
    // The raw socket still knows the remote address; see #onTcp().
    const raw = rawOf(socket) ?? socket;
    if (this.#handshakes.hasDropped(raw)) return;
    const { bytesRead } = raw;
    const { authorizationError } = socket;
    const incident = handshakeIncident(code, { bytesRead, authorizationError });
    if (incident) this.#report(incident, raw);
  }

  /** Replaces the files for new handshakes; open connections are not affected. Throws OpenSSL's errors. */
  setTls(tls: TlsFiles): void {
    for (const server of this.#tlsServers) server.setSecureContext(secureOptions(tls));
  }

  /** Stops accepting connections. */
  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
  }
}

function tooLong(most: number): string {
  return `Cannot keep more than ${most} bytes of long client certificate chains`;
}

/**
 * The raw socket below a TLS socket. Node has no public API for it, and unix sockets have no address to find it by.
 */
function rawOf(socket: TLSSocket): Socket | undefined {
  // oxlint-disable-next-line no-underscore-dangle
  const raw = '_parent' in socket ? socket._parent : undefined;
  return raw instanceof Socket ? raw : undefined;
}
