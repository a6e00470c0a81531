import { connect as connectHttp2, type Settings } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Channel, ChannelCredentials, type ChannelOptions, createChannel } from 'nice-grpc';
import type { TlsFiles } from '../../src/engine/net/tls_options.ts';
import { certificate } from './certificate.ts';

/** The TLS files of the harness: TEST_TLS=1 runs the tests over TLS. An RSA key would take longer than most tests. */
export const serverTls: TlsFiles | undefined =
  process.env['TEST_TLS'] === '1' ? await certificate({ keyType: 'ec' }) : undefined;

/** A channel to the harness. */
export function dialChannel(address: string, options: ChannelOptions = {}): Channel {
  if (!serverTls) return createChannel(address, undefined, options);
  const credentials = ChannelCredentials.createSsl(Buffer.from(serverTls.cert));
  // grpc-js would send the address as server name.
  const name = { 'grpc.ssl_target_name_override': 'localhost' };
  return createChannel(address, credentials, { ...options, ...name });
}

/** A socket to the harness, the TCP socket below it, and the origin. */
export function dialSocket(address: string): { socket: Socket; tcp: Socket; origin: string } {
  const [host = '', port = ''] = address.split(':');
  const tcp = connectTcp(Number(port), host);
  if (!serverTls) return { socket: tcp, tcp, origin: `http://${address}` };
  const options = { socket: tcp, host, ca: serverTls.cert, ALPNProtocols: ['h2'] };
  return { socket: connectTls(options), tcp, origin: `https://${address}` };
}

/** An HTTP/2 session with the harness, and the socket below; its errors are reported by its streams. */
export function dialHttp2(address: string, settings: Settings = {}) {
  const { socket, tcp, origin } = dialSocket(address);
  const session = connectHttp2(origin, { createConnection: () => socket, settings });
  return { session: session.on('error', () => {}), tcp };
}
