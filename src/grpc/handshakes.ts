import type { Socket } from 'node:net';
import { withoutMapping } from './connection_info.ts';

interface HandshakesOptions {
  /** So many at once. */
  max: number;
  /** Told of each socket that makes room for another; it is dropped afterwards. */
  onDrop: (socket: Socket) => void;
}

/**
 * The connections whose TLS handshake is not over: each holds some 64 KiB before anything is known of its
 * peer. When there are too many, the address that has most of them makes room, with its oldest one: a
 * client elsewhere gets in, and behind the same address whoever is quicker than what floods it.
 */
export class Handshakes {
  readonly #max: number;
  readonly #onDrop: (socket: Socket) => void;
  /** With the address of each, the oldest first. */
  readonly #open = new Map<unknown, { socket: Socket; address: string }>();
  readonly #perAddress = new Map<string, number>();

  constructor({ max, onDrop }: HandshakesOptions) {
    this.#max = max;
    this.#onDrop = onDrop;
  }

  get size(): number {
    return this.#open.size;
  }

  /** A socket was accepted; it is forgotten when it closes. */
  begin(socket: Socket): void {
    // Peers on a unix socket are of one address.
    const address = withoutMapping(socket.remoteAddress ?? '');
    this.#open.set(socket, { socket, address });
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    socket.once('close', () => this.end(socket));
    if (this.#open.size > this.#max) this.#dropOne();
  }

  /** The handshake on it is over; or that of a socket which was over already. */
  end(socket: unknown): void {
    const address = this.#open.get(socket)?.address;
    if (address === undefined) return;
    this.#open.delete(socket);
    const left = (this.#perAddress.get(address) ?? 0) - 1;
    if (left > 0) this.#perAddress.set(address, left);
    else this.#perAddress.delete(address);
  }

  #dropOne(): void {
    const most = Math.max(...this.#perAddress.values());
    for (const { socket, address } of this.#open.values()) {
      if (this.#perAddress.get(address) !== most) continue;
      this.end(socket);
      this.#onDrop(socket);
      socket.destroy();
      return;
    }
  }
}
