import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

interface ClientChainsOptions {
  /** Bytes beyond what is usual, of all connections together. */
  max: number;
  /** Told of each connection that there is no room for; it is dropped afterwards. */
  onDrop: (socket: Socket) => void;
}

/** What clients say in a handshake, in bytes, that show a certificate and the few that have signed it. */
const usual = 8 * 1024;

/**
 * What clients have shown of certificates: OpenSSL takes up to 100 KiB of them, none of which it has to use, and
 * keeps what they become, 5 to 20 times as much, for as long as the connection is open. Node has no way to ask
 * for less, or to have it let go. So what is more than usual has to find room.
 */
export class ClientChains {
  readonly #max: number;
  readonly #onDrop: (socket: Socket) => void;
  #bytes = 0;

  constructor({ max, onDrop }: ClientChainsOptions) {
    this.#max = max;
    this.#onDrop = onDrop;
  }

  /** A handshake is over, on this socket and the one below it. */
  take(socket: TLSSocket, raw: Socket): void {
    // What has come with the end of the handshake has been decrypted by then.
    setImmediate(() => {
      const bytes = raw.bytesRead - socket.bytesRead - usual;
      if (bytes <= 0 || socket.destroyed) return;
      if (this.#bytes + bytes > this.#max) {
        this.#onDrop(raw);
        socket.destroy();
        return;
      }
      this.#bytes += bytes;
      socket.once('close', () => (this.#bytes -= bytes));
    });
  }
}
