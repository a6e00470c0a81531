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
  const { remoteAddress, remotePort } = socket;
  const host = remoteAddress?.includes(':') ? `[${remoteAddress}]` : remoteAddress;
  return {
    peer: host === undefined ? 'unix' : `${host}:${remotePort}`,
    remoteAddress,
    remotePort,
    tls: isTls(socket) ? tlsInfo(socket) : undefined,
  };
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
