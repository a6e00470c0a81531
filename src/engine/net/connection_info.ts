import type { Socket } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { clientName } from './client_name.ts';

/** The remote end of a connection. */
export interface ConnectionInfo {
  /** `ADDRESS:PORT`, or `unix` for a unix socket. */
  readonly peer: string;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly tls: TlsInfo | undefined;
}

/** TLS properties of a connection. */
interface TlsInfo {
  /** For example `TLSv1.3`. */
  readonly protocol: string | null;
  /** The client certificate, if one was requested and verified. */
  readonly certificate: PeerCertificate | undefined;
  /** The name in that certificate; see clientName(). */
  readonly client: string | undefined;
}

/** Reads the remote end and TLS properties of a socket. */
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

/** The remote address of a socket; undefined once it is closed. */
export interface PeerAddress {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** `ADDRESS:PORT`, or `unix` for a unix socket. */
export function peerName({ remoteAddress, remotePort }: PeerAddress): string {
  return remoteAddress ? peerOf(remoteAddress, remotePort) : 'unix';
}

/** `ADDRESS:PORT`, with an IPv6 address in brackets. */
export function peerOf(address: string, port: string | number | undefined): string {
  const plain = withoutMapping(address);
  return `${plain.includes(':') ? `[${plain}]` : plain}:${port}`;
}

/** A dual-stack IPv6 socket reports IPv4-mapped addresses (RFC 4291 section 2.5.5.2). */
function withoutMapping(address: string): string {
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address) ? address.slice(7) : address;
}

/** Does not use node:tls, which takes 7 MB and is loaded only for TLS. */
function isTls(socket: Socket): socket is TLSSocket {
  return 'encrypted' in socket;
}

function tlsInfo(socket: TLSSocket): TlsInfo {
  const protocol = socket.getProtocol();
  const certificate = socket.authorized ? socket.getPeerCertificate() : undefined;
  return { protocol, certificate, client: certificate && clientName(certificate) };
}
