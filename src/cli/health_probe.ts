import type { ClientTls, Target } from '../transport/client.ts';
import type { Flag } from './command.ts';
import type { FlagReader } from './flags.ts';
import { formatGoDuration } from './go_duration.ts';

/** The target and options of a probe. */
export interface Probe extends Target {
  service: string;
  /** Milliseconds. */
  connectTimeout: number;
  /** Milliseconds. */
  rpcTimeout: number;
  /** Metadata as given, in order; names are lower case. */
  headers: readonly (readonly [name: string, value: string])[];
}

/** The flags of grpc-health-probe 0.4.62; those that are not supported say why. */
export const probeFlags: readonly Flag[] = [
  { name: 'addr', value: 'HOST:PORT', help: 'the server; required' },
  {
    name: 'service',
    value: 'NAME',
    help: 'the service to check (default: the whole server)',
  },
  {
    name: 'user-agent',
    value: 'TEXT',
    help: 'the user agent (default "grpc_health_probe")',
  },
  { name: 'connect-timeout', value: 'DURATION', help: 'for the connection (default "1s")' },
  { name: 'rpc-timeout', value: 'DURATION', help: 'for the call (default "1s")' },
  { name: 'rpc-header', value: 'NAME:VALUE', repeats: true, help: 'metadata to send; repeatable' },
  { name: 'gzip', help: 'compress the request' },
  { name: 'tls', help: 'use TLS' },
  { name: 'tls-ca-cert', value: 'FILE', help: 'with --tls: the CAs to trust (PEM)' },
  { name: 'tls-client-cert', value: 'FILE', help: 'with --tls: the client certificate (PEM)' },
  { name: 'tls-client-key', value: 'FILE', help: 'with --tls-client-cert: its key (PEM)' },
  { name: 'tls-no-verify', help: 'with --tls: accept any certificate' },
  { name: 'tls-server-name', value: 'NAME', help: 'with --tls: the name in the certificate' },
  { name: 'v', help: 'print each step and its duration' },
  { name: 'version', help: 'print the version' },
  { name: 'alts', help: 'not supported, unlike in grpc-health-probe' },
  { name: 'spiffe', help: 'not supported, unlike in grpc-health-probe' },
];

/** Reads the flags; errors are added to the reader's problems. */
export function readProbe(read: FlagReader): Probe {
  return {
    address: read.text('addr') ?? '',
    service: read.text('service') ?? '',
    userAgent: read.text('user-agent') ?? 'grpc_health_probe',
    connectTimeout: read.duration('connect-timeout', '1s'),
    rpcTimeout: read.duration('rpc-timeout', '1s'),
    headers: read.list('rpc-header', parseHeader),
    gzip: read.given('gzip'),
  };
}

/** Reads the certificates; conflicts are added to the reader's problems. */
export function readTls(read: FlagReader, probe: Probe): ClientTls | undefined {
  const unless = (right: boolean, problem: string) => void (right || read.problems.push(problem));
  unless(probe.address !== '', '--addr: is required');
  unless(!(probe.connectTimeout <= 0), '--connect-timeout: must be more than 0s');
  unless(!(probe.rpcTimeout <= 0), '--rpc-timeout: must be more than 0s');
  for (const name of ['alts', 'spiffe']) {
    unless(!read.given(name), `--${name}: greeter has no such thing; grpc-health-probe does`);
  }
  const ca = read.file('tls-ca-cert', certificatesIn);
  const cert = read.file('tls-client-cert', (pem) => pem);
  const key = read.file('tls-client-key', (pem) => pem);
  const serverName = read.text('tls-server-name') || undefined;
  const noVerify = read.given('tls-no-verify');

  const any = ca ?? cert ?? key ?? serverName ?? (noVerify || undefined);
  unless(read.given('tls') || any === undefined, '--tls-...: need --tls as well');
  unless(!cert === !key, '--tls-client-cert, --tls-client-key: must be given together');
  unless(!(noVerify && ca), '--tls-no-verify, --tls-ca-cert: must not be given together');
  unless(
    !(noVerify && serverName),
    '--tls-no-verify, --tls-server-name: must not be given together',
  );
  if (!read.given('tls')) return undefined;
  return { ca, serverName, noVerify, clientCertificate: cert && key && { cert, key } };
}

/** The first line of `-v`, as grpc-health-probe prints it: header values are hidden. */
export function parsedOptions(read: FlagReader, probe: Probe): string[] {
  const [connect, rpc] = [probe.connectTimeout, probe.rpcTimeout].map(formatGoDuration);
  const names = new Set(probe.headers.map(([name]) => name));
  return [
    'parsed options:',
    `> addr=${probe.address} conn_timeout=${connect} rpc_timeout=${rpc}`,
    ...(names.size > 0 ? [`> headers: {map[<${names.size} redacted>]}`] : []),
    `> tls=${read.given('tls')}`,
    ...(read.given('tls') ? tlsOptions(read) : []),
    '> alts=false',
    '> spiffe=false',
  ];
}

function tlsOptions(read: FlagReader): string[] {
  const file = (name: string) => `  > ${name}=${read.text(`tls-${name}`) ?? ''}`;
  return [
    `  > no-verify=${read.given('tls-no-verify')} `,
    ...['ca-cert', 'client-cert', 'client-key', 'server-name'].map(file),
  ];
}

function parseHeader(text: string): readonly [name: string, value: string] {
  const colon = text.indexOf(':');
  if (colon === -1) throw new RangeError('must be NAME:VALUE');
  return [text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trimStart()];
}

/** The certificates of a PEM file; other contents are skipped, as in Go. */
function certificatesIn(file: Buffer): Buffer {
  const { X509Certificate } = process.getBuiltinModule('node:crypto');
  const blocks = file
    .toString('latin1')
    .match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  const good = (blocks ?? []).filter((block) => {
    try {
      return new X509Certificate(block).raw.length > 0;
    } catch {
      return false;
    }
  });
  if (good.length === 0) throw new RangeError('must be a PEM file with a certificate');
  return Buffer.from(good.join('\n'));
}
