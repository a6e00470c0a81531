import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

interface ClientChainsOptions {
  /** The limit in bytes, above the usual size of a chain, for all connections together. */
  max: number;
  /** Called for each connection that exceeds the limit, before it is closed. */
  onDrop: (socket: Socket) => void;
}

/** The usual bytes of a handshake with a client certificate and its intermediates. */
const usual = 8 * 1024;

/**
 * Limits the memory of clients' certificate chains. OpenSSL accepts up to 100 KiB of certificates, even unused ones,
 * and keeps the parsed form, 5 to 20 times as large, while the connection is open. Node can neither lower that nor
 * free it.
 */
export class ClientChains {
  readonly #max: number;
  readonly #onDrop: (socket: Socket) => void;
  #bytes = 0;

  constructor({ max, onDrop }: ClientChainsOptions) {
    this.#max = max;
    this.#onDrop = onDrop;
  }

  /** The handshake on this TLS socket, on top of `raw`, has succeeded. */
  take(socket: TLSSocket, raw: Socket): void {
    // By then, data that arrived together with the end of the handshake has been decrypted.
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
