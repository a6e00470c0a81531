import type { Socket } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { clientName } from './client_name.ts';

/** Whom a connection is with. */
export interface ConnectionInfo {
  /** `ADDRESS:PORT`, or `unix` for a socket that has no such name. */
  readonly peer: string;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly tls: TlsInfo | undefined;
}

/** What TLS says of a connection. */
interface TlsInfo {
  /** `TLSv1.3`, say. */
  readonly protocol: string | null;
  /** What the client has shown, if it was asked for a certificate and that one was accepted. */
  readonly certificate: PeerCertificate | undefined;
  /** Whose certificate that is; see clientName(). */
  readonly client: string | undefined;
}

/** Reads whom a socket is connected to. */
export function connectionInfo(socket: Socket): ConnectionInfo {
  const { remotePort } = socket;
  const remoteAddress = socket.remoteAddress && withoutMapping(socket.remoteAddress);
  return {
    peer: peerName(socket),
    remoteAddress,
    remotePort,
    tls: isTls(socket) ? tlsInfo(socket) : undefined,
  };
}

/** What a socket says of its other end, if it still can. */
export interface PeerAddress {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** `ADDRESS:PORT`, or `unix` for a socket that has no such name. */
export function peerName({ remoteAddress, remotePort }: PeerAddress): string {
  return remoteAddress ? peerOf(remoteAddress, remotePort) : 'unix';
}

/** `ADDRESS:PORT`, with an IPv6 address in brackets. */
export function peerOf(address: string, port: string | number | undefined): string {
  const plain = withoutMapping(address);
  return `${plain.includes(':') ? `[${plain}]` : plain}:${port}`;
}

/** A socket of IPv6 that serves IPv4 too has its peers' addresses mapped (RFC 4291 section 2.5.5.2). */
function withoutMapping(address: string): string {
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address) ? address.slice(7) : address;
}

/** Without loading node:tls, which takes 7 MB: where there is one, somebody has. */
function isTls(socket: Socket): socket is TLSSocket {
  return 'encrypted' in socket;
}

function tlsInfo(socket: TLSSocket): TlsInfo {
  const protocol = socket.getProtocol();
  const certificate = socket.authorized ? socket.getPeerCertificate() : undefined;
  return { protocol, certificate, client: certificate && clientName(certificate) };
}
