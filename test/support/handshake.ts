import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { preface } from '../../src/engine/http2/frames.ts';

/** How a server took a client in. */
interface Taken {
  /** Of the server's certificate. */
  serial: string;
  protocol: string | null;
  cipher: string;
  alpn: string | false | null;
  /** Whether it went on with a session that the client had kept. */
  resumed: boolean;
}

/** Node's types leave out what it hands to the socket below. */
type Dial = ConnectionOptions & { localAddress?: string };

/** Dials as an HTTP/2 client does, and looks at nothing; gives what it came to, or why it was refused. */
export async function handshake(
  port: number,
  options: Dial = {},
): Promise<Taken | { refused: string }> {
  const socket = dialTls(port, options);
  try {
    // TLS 1.3 refuses a client's certificate after the handshake: only what the server says counts.
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

/** A client's socket that takes any certificate. */
export function dialTls(port: number, options: Dial = {}): TLSSocket {
  const dialled = { port, host: '127.0.0.1', servername: 'localhost', ALPNProtocols: ['h2'] };
  const socket = connect({ ...dialled, rejectUnauthorized: false, ...options });
  return socket.on('error', () => {});
}

/** Speaks HTTP/2 after the handshake; resolves when the server has answered, which it does with its SETTINGS. */
export async function heard(socket: TLSSocket): Promise<void> {
  socket.once('secureConnect', () => socket.write(preface));
  const closed = once(socket, 'close').then(() => {
    throw new Error('closed');
  });
  await Promise.race([once(socket, 'data'), closed]);
}

/** What a client says first. */
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
