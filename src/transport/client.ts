import { isIP } from 'node:net';
import {
  Channel,
  ChannelCredentials,
  type ChannelOptions,
  compressionAlgorithms,
} from '@grpc/grpc-js';
import { type Env, type HostPort, type Proxy, proxyFor } from './proxy.ts';

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
  /** Variables that may name a proxy; without them there is none. */
  env?: Env;
}

/** Opens a channel; it connects with the first call. Throws when a certificate is no PEM. */
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
    // Its own rules send this machine's addresses and those of `no_proxy` to the proxy.
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

/** Undefined for what is no host, or several. */
function splitTarget(target: string): HostPort | undefined {
  if (/^unix:/i.test(target)) return undefined;
  const [, path = ''] = /^(?:(?:dns|ipv4|ipv6):)?(?:\/\/[^/]*\/)?(.*)$/.exec(target) ?? [];
  const [, inBrackets, plain, port = '443'] =
    /^(?:\[([^\]]*)\]|([^:,]+))(?::(\d+))?$/.exec(path) ?? [];
  const host = inBrackets ?? plain ?? (isIP(path) === 6 ? path : undefined);
  return host === undefined ? undefined : { host, port };
}

/** What grpc-js itself sets where it finds a proxy. */
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
