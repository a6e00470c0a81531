import { ServerCredentials } from '@grpc/grpc-js';
import type { ListenAddress } from '../grpc/listeners.ts';
import type { TlsFiles } from '../grpc/tls_options.ts';

/** An address as grpc-js has it. */
export function textOf(address: string | ListenAddress): string {
  if (typeof address === 'string') return address;
  if ('path' in address) return `unix:${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/** What to serve with, as grpc-js has it. */
export function credentialsOf(tls: TlsFiles | ServerCredentials | undefined): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure();
  if (tls instanceof ServerCredentials) return tls;
  const [cert, key] = [Buffer.from(tls.cert), Buffer.from(tls.key)];
  const ca = tls.clientCa === undefined ? null : Buffer.from(tls.clientCa);
  return ServerCredentials.createSsl(ca, [{ cert_chain: cert, private_key: key }], ca !== null);
}
