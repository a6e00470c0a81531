import type { ClientTls, Target } from '../transport/client.ts';
import type { Flag } from './command.ts';
import type { FlagReader } from './flags.ts';

/** What to ask, of whom, and for how long. */
export interface Probe extends Target {
  service: string;
  /** Milliseconds. */
  connectTimeout: number;
  /** Milliseconds. */
  rpcTimeout: number;
}

/** The flags of grpc-health-probe that we have. */
export const probeFlags: readonly Flag[] = [
  { name: 'addr', value: 'HOST:PORT', help: 'the server; required' },
  {
    name: 'service',
    value: 'NAME',
    help: 'the service to ask for (default: the server as a whole)',
  },
  { name: 'user-agent', value: 'TEXT', help: 'what to call ourselves' },
  { name: 'connect-timeout', value: 'DURATION', help: 'for the connection (default "1s")' },
  { name: 'rpc-timeout', value: 'DURATION', help: 'for the call (default "1s")' },
  { name: 'tls', help: 'use TLS' },
  { name: 'tls-ca-cert', value: 'FILE', help: 'with -tls: the authorities to trust (PEM)' },
  { name: 'tls-client-cert', value: 'FILE', help: 'with -tls: our certificate (PEM)' },
  { name: 'tls-client-key', value: 'FILE', help: 'with -tls-client-cert: its key (PEM)' },
  { name: 'tls-no-verify', help: 'with -tls: take any certificate' },
  { name: 'tls-server-name', value: 'NAME', help: 'with -tls: the name in the certificate' },
];

/** Reads the flags; what is wrong with them stands in the reader's problems. */
export function readProbe(read: FlagReader): Probe {
  const address = read.text('addr') ?? '';
  if (address === '') read.problems.push('--addr: is required');
  return {
    address,
    service: read.text('service') ?? '',
    userAgent: read.text('user-agent'),
    connectTimeout: read.duration('connect-timeout', '1s'),
    rpcTimeout: read.duration('rpc-timeout', '1s'),
    tls: readTls(read),
  };
}

function readTls(read: FlagReader): ClientTls | undefined {
  const ca = read.file('tls-ca-cert');
  const cert = read.file('tls-client-cert');
  const key = read.file('tls-client-key');
  const serverName = read.text('tls-server-name');
  const noVerify = read.given('tls-no-verify');
  const unless = (right: boolean, problem: string) => void (right || read.problems.push(problem));

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
