import { isIP } from 'node:net';
import {
  Channel,
  ChannelCredentials,
  type ChannelOptions,
  compressionAlgorithms,
} from '@grpc/grpc-js';

/** How a client secures its connection. Certificates and keys are PEM. */
export interface ClientTls {
  ca?: Buffer | undefined;
  clientCertificate?: { cert: Buffer; key: Buffer } | undefined;
  /** The name to expect in the server's certificate, where it is not the host dialled. */
  serverName?: string | undefined;
  /** Take any certificate. */
  noVerify?: boolean;
}

/** What to dial: HOST:PORT, :PORT on this machine, or unix:PATH. */
export interface Target {
  address: string;
  tls?: ClientTls | undefined;
  userAgent?: string | undefined;
  /** Compress requests. */
  gzip?: boolean;
}

/** Opens a channel; it connects with the first call. Throws when a certificate is no PEM. */
export function dial({ address, tls, userAgent, gzip }: Target): Channel {
  const target = address.startsWith(':') ? `localhost${address}` : address;
  const { credentials, options } = tls ? secure(tls, target) : insecure;
  // nice-grpc's createChannel() takes a unix socket for a host without a port.
  return new Channel(target, credentials, {
    ...options,
    ...(userAgent && { 'grpc.primary_user_agent': userAgent }),
    ...(gzip && { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip }),
    // A proxy that a cluster sets for everybody cannot reach this machine.
    ...(isLoopback(hostOf(target)) && { 'grpc.enable_http_proxy': 0 }),
  });
}

interface Security {
  credentials: ChannelCredentials;
  options: ChannelOptions;
}

const insecure: Security = { credentials: ChannelCredentials.createInsecure(), options: {} };

function secure(
  { ca, clientCertificate, serverName, noVerify }: ClientTls,
  target: string,
): Security {
  const { cert = null, key = null } = clientCertificate ?? {};
  const expected = withoutBrackets(serverName ?? hostOf(target));
  // An address is no server name: Node refuses to send it as one, and grpc-js sends what it dials.
  const byAddress = isIP(expected) !== 0;
  const name = byAddress ? 'localhost' : serverName;
  // An import would be loaded by servers as well, since one file holds both.
  const { checkServerIdentity, getCACertificates } = process.getBuiltinModule('node:tls');
  // Node trusts its own list alone, and a company's authority is in the system's.
  const known = () => [...getCACertificates('system'), ...getCACertificates('default')].join('\n');
  const trusted = noVerify ? null : (ca ?? Buffer.from(known()));
  return {
    credentials: ChannelCredentials.createSsl(trusted, key, cert, {
      rejectUnauthorized: !noVerify,
      ...(byAddress && {
        checkServerIdentity: (_name, certificate) => checkServerIdentity(expected, certificate),
      }),
    }),
    options: name === undefined ? {} : { 'grpc.ssl_target_name_override': name },
  };
}

function hostOf(target: string): string {
  return withoutBrackets(target.replace(/:\d+$/, ''));
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|::1)$/.test(host);
}
