import { isIP } from 'node:net';
import {
  Channel,
  ChannelCredentials,
  type ChannelOptions,
  compressionAlgorithms,
} from '@grpc/grpc-js';
import { type Env, type HostPort, type Proxy, proxyFor } from './proxy.ts';

/** The TLS options of a client. Certificates and keys are PEM. */
export interface ClientTls {
  ca?: Buffer | undefined;
  clientCertificate?: { cert: Buffer; key: Buffer } | undefined;
  /** The name to expect in the server's certificate, if it is not the dialled host. */
  serverName?: string | undefined;
  /** Accept any certificate. */
  noVerify?: boolean;
}

/** The target: HOST:PORT, :PORT on this machine, or unix:PATH. */
export interface Target {
  address: string;
  tls?: ClientTls | undefined;
  userAgent?: string | undefined;
  /** Compress requests. */
  gzip?: boolean;
  /** Environment variables that may name a proxy; none by default. */
  env?: Env;
}

/** Creates a channel, which connects at the first call. Throws for an invalid certificate. */
export function dial({ address, tls, userAgent, gzip, env = {} }: Target): Channel {
  const target = address.startsWith(':') ? `localhost${address}` : address;
  const dialled = splitTarget(target);
  const { credentials, options } = tls ? secure(tls, dialled?.host ?? target) : insecure;
  const proxy = dialled && proxyFor(dialled, env);
  // nice-grpc's createChannel() takes a unix socket for a host without a port.
  return new Channel(proxy?.address ?? target, credentials, {
    ...options,
    ...(userAgent && { 'grpc.primary_user_agent': userAgent }),
    ...(gzip && { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip }),
    // grpc-js would use the proxy for local addresses and for those in `no_proxy`.
    'grpc.enable_http_proxy': 0,
    ...(proxy && dialled && through(proxy, dialled)),
  });
}

interface Security {
  credentials: ChannelCredentials;
  options: ChannelOptions;
}

const insecure: Security = { credentials: ChannelCredentials.createInsecure(), options: {} };

function secure(
  { ca, clientCertificate, serverName, noVerify }: ClientTls,
  dialled: string,
): Security {
  const { cert = null, key = null } = clientCertificate ?? {};
  const expected = withoutBrackets(serverName ?? dialled);
  // An IP address cannot be a server name: Node does not send it in SNI, and grpc-js sends the dialled host.
  const byAddress = isIP(expected) !== 0;
  const name = byAddress ? 'localhost' : serverName;
  // A static import would be loaded by servers as well, as the built file contains both.
  const { checkServerIdentity, getCACertificates } = process.getBuiltinModule('node:tls');
  // Node trusts its bundled CAs only, and a company's CA is in the system's store.
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

/** Undefined if the target is not one host. */
function splitTarget(target: string): HostPort | undefined {
  if (/^unix:/i.test(target)) return undefined;
  const [, path = ''] = /^(?:(?:dns|ipv4|ipv6):)?(?:\/\/[^/]*\/)?(.*)$/.exec(target) ?? [];
  const [, inBrackets, plain, port = '443'] =
    /^(?:\[([^\]]*)\]|([^:,]+))(?::(\d+))?$/.exec(path) ?? [];
  const host = inBrackets ?? plain ?? (isIP(path) === 6 ? path : undefined);
  return host === undefined ? undefined : { host, port };
}

/** The channel options that grpc-js itself sets for a proxy. */
function through({ credentials }: Proxy, { host, port }: HostPort): ChannelOptions {
  const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  return {
    'grpc.http_connect_target': `dns:${authority}`,
    ...(credentials !== undefined && { 'grpc.http_connect_creds': credentials }),
    'grpc.default_authority': authority,
  };
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}
