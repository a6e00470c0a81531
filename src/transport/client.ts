import { ChannelCredentials } from '@grpc/grpc-js';
import { type Channel, createChannel } from 'nice-grpc';

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
}

/** Opens a channel; it connects with the first call. Throws when a certificate is no PEM. */
export function dial({ address, tls, userAgent }: Target): Channel {
  const target = address.startsWith(':') ? `localhost${address}` : address;
  return createChannel(target, tls ? secure(tls) : ChannelCredentials.createInsecure(), {
    ...(userAgent && { 'grpc.primary_user_agent': userAgent }),
    ...(tls?.serverName && { 'grpc.ssl_target_name_override': tls.serverName }),
  });
}

function secure({ ca, clientCertificate, noVerify }: ClientTls): ChannelCredentials {
  const { cert = null, key = null } = clientCertificate ?? {};
  return ChannelCredentials.createSsl(ca ?? null, key, cert, { rejectUnauthorized: !noVerify });
}
