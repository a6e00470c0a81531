import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { preface } from '../../src/engine/http2/frames.ts';

/** The result of a handshake. */
interface Taken {
  /** The serial number of the server's certificate. */
  serial: string;
  protocol: string | null;
  cipher: string;
  alpn: string | false | null;
  /** True if a saved session was resumed. */
  resumed: boolean;
}

/** Node's types omit an option that it passes to the socket below. */
type Dial = ConnectionOptions & { localAddress?: string };

/** Connects as an HTTP/2 client without verification; returns the result, or the error. */
export async function handshake(
  port: number,
  options: Dial = {},
): Promise<Taken | { refused: string }> {
  const socket = dialTls(port, options);
  try {
    // TLS 1.3 refuses a client certificate after the handshake, so only the server's output counts.
    await heard(socket);
    return {
      serial: socket.getPeerX509Certificate()?.serialNumber ?? '',
      protocol: socket.getProtocol(),
      cipher: socket.getCipher().standardName,
      alpn: socket.alpnProtocol,
      resumed: socket.isSessionReused(),
    };
  } catch (error) {
    return { refused: error instanceof Error && 'code' in error ? String(error.code) : 'closed' };
  } finally {
    socket.destroy();
  }
}

/** A client socket that accepts any certificate. */
export function dialTls(port: number, options: Dial = {}): TLSSocket {
  const dialled = { port, host: '127.0.0.1', servername: 'localhost', ALPNProtocols: ['h2'] };
  const socket = connect({ ...dialled, rejectUnauthorized: false, ...options });
  return socket.on('error', () => {});
}

/** Sends an HTTP/2 preface after the handshake; resolves when the server has sent its SETTINGS. */
export async function heard(socket: TLSSocket): Promise<void> {
  socket.once('secureConnect', () => socket.write(preface));
  const closed = once(socket, 'close').then(() => {
    throw new Error('closed');
  });
  await Promise.race([once(socket, 'data'), closed]);
}

/** A ClientHello. */
export async function clientHello(): Promise<Buffer> {
  const said = Promise.withResolvers<Buffer>();
  const wire = new Duplex({
    read() {},
    write: (bytes: Buffer, _encoding, done) => {
      said.resolve(bytes);
      done();
    },
  });
  const socket = connect({ socket: wire, servername: 'localhost', ALPNProtocols: ['h2'] });
  const hello = await said.promise;
  socket.on('error', () => {}).destroy();
  return hello;
}
