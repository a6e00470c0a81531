import type { Socket } from 'node:net';
import { ownerOf, type Place, Places } from './connections.ts';

interface HandshakesOptions {
  /** The maximum of concurrent handshakes. */
  max: number;
  /** Called for each socket that exceeds the limits, before it is destroyed. */
  onDrop: (socket: Socket) => void;
}

interface Begin {
  /** Starts the handshake, now or later. */
  begin: () => void;
  /** The maximum of queued sockets, per concurrent handshake. */
  waitingForEach: number;
}

interface Handshake {
  readonly isIdle: true;
  readonly socket: Socket;
  readonly owner: string;
  readonly begin: () => void;
  /** When the handshake began, in milliseconds. */
  since: number;
}

/** A handshake that takes longer, in milliseconds, is closed when others are queued. */
const slowMs = 1000;
/** The interval of that check, in milliseconds. */
const lookMs = 100;

/**
 * Limits concurrent TLS handshakes. Each holds about 64 KiB before anything is known about its peer, and up to 2 MiB
 * if the client sends certificates.
 *
 * When there are too many, further sockets are queued unread, since a burst of reconnecting clients is over soon. A
 * handshake that takes longer than a second is closed in favour of the next one from its own address, or from one
 * with fewer handshakes. The next socket to leave the queue is from the address with the fewest handshakes; when the
 * queue is full, a socket of the address with the most queued is closed.
 */
export class Handshakes {
  readonly #max: number;
  readonly #onDrop: (socket: Socket) => void;
  readonly #open = new Places<Handshake>();
  readonly #waiting = new Places<Handshake>();
  /** Open and queued ones, in order of arrival. */
  readonly #places = new Map<Socket, Place<Handshake>>();
  readonly #dropped = new WeakSet<Socket>();
  #looking: NodeJS.Timeout | undefined;

  constructor({ max, onDrop }: HandshakesOptions) {
    this.#max = max;
    this.#onDrop = onDrop;
  }

  /** The number of handshakes in progress. */
  get open(): number {
    return this.#open.size;
  }

  /** Adds a socket that was accepted and not yet read. */
  accept(socket: Socket, { begin, waitingForEach }: Begin): void {
    socket.once('close', () => this.end(socket));
    const owner = ownerOf(socket.remoteAddress);
    const handshake: Handshake = { isIdle: true, socket, owner, begin, since: Infinity };
    if (this.#open.size < this.#max) return this.#start(handshake);
    const isFull = this.#waiting.size >= waitingForEach * this.#max;
    if (isFull && !this.#evictFor(this.#waiting, owner, (_, evens) => evens)) {
      return this.#drop(socket);
    }
    // A queued socket has no other error listener.
    socket.on('error', () => {});
    this.#places.set(socket, this.#waiting.enter(handshake, owner));
    this.#looking ??= setInterval(() => this.#look(), lookMs).unref();
  }

  /** True if the socket was closed in favour of another. */
  hasDropped(socket: Socket): boolean {
    return this.#dropped.has(socket);
  }

  /** The handshake on this socket has ended, or the socket was closed before. */
  end(socket: Socket): void {
    const place = this.#places.get(socket);
    if (!place) return;
    this.#places.delete(socket);
    const isWaiting = place.holder.since === Infinity;
    (isWaiting ? this.#waiting : this.#open).leave(place);
    this.#next();
  }

  #start(handshake: Handshake): void {
    const { socket, owner, begin } = handshake;
    handshake.since = performance.now();
    this.#places.set(socket, this.#open.enter(handshake, owner));
    begin();
  }

  #next(): void {
    while (this.#open.size < this.#max && this.#waiting.size > 0) {
      const place = this.#firstOfFewest();
      if (!place) break;
      this.#waiting.leave(place);
      this.#places.delete(place.holder.socket);
      this.#start(place.holder);
    }
    if (this.#waiting.size > 0) return;
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #firstOfFewest(): Place<Handshake> | undefined {
    let fewest = Infinity;
    let first: Place<Handshake> | undefined;
    for (const place of this.#places.values()) {
      if (place.holder.since !== Infinity) continue;
      const count = this.#open.countOf(place.holder.owner);
      if (count < fewest) [fewest, first] = [count, place];
      if (fewest === 0) break;
    }
    return first;
  }

  #look(): void {
    const then = performance.now() - slowMs;
    const isSlow = ({ since }: Handshake) => since <= then;
    for (let next = this.#firstOfFewest(); next; next = this.#firstOfFewest()) {
      if (!this.#evictFor(this.#open, next.holder.owner, isSlow)) return;
      this.#next();
    }
  }

  #evictFor(
    line: Places<Handshake>,
    owner: string,
    mayGo: (handshake: Handshake, evens: boolean) => boolean,
  ): boolean {
    const place = line.find(owner, mayGo);
    if (!place) return false;
    const { socket } = place.holder;
    this.#places.delete(socket);
    line.leave(place);
    this.#drop(socket);
    return true;
  }

  #drop(socket: Socket): void {
    this.#dropped.add(socket);
    this.#onDrop(socket);
    socket.destroy();
  }
}
