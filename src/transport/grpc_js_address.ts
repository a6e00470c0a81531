import { ServerCredentials } from '@grpc/grpc-js';
import {
  type ListenAddress,
  handshakeTimeout,
  noResumption,
  type TlsFiles,
} from '../engine/index.ts';

/** An address in grpc-js's format. */
export function textOf(address: string | ListenAddress): string {
  if (typeof address === 'string') return address;
  if ('path' in address) return `unix:${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/** TLS files as grpc-js's credentials. */
export function credentialsOf(tls: TlsFiles | ServerCredentials | undefined): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure();
  if (tls instanceof ServerCredentials) return tls;
  const [cert, key] = [Buffer.from(tls.cert), Buffer.from(tls.key)];
  const ca = tls.clientCa === undefined ? null : Buffer.from(tls.clientCa);
  const pairs = [{ cert_chain: cert, private_key: key }];
  return new SslCredentials(ServerCredentials.createSsl(ca, pairs, ca !== null), ca !== null);
}

/** grpc-js's credentials with options that createSsl() does not accept. */
class SslCredentials extends ServerCredentials {
  constructor(ssl: ServerCredentials, needsCertificate: boolean) {
    // These two are in its types, and its own wrappers of credentials call them.
    // oxlint-disable no-underscore-dangle
    const server = ssl._getConstructorOptions();
    const context = ssl._getSecureContextOptions();
    // oxlint-enable no-underscore-dangle
    const secureOptions = needsCertificate ? noResumption() : 0;
    super({ ...server, handshakeTimeout }, { ...context, secureOptions });
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
