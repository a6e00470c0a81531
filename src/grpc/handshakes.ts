import type { Socket } from 'node:net';
import { ownerOf, type Place, Places } from '../places.ts';

interface HandshakesOptions {
  /** So many at once. */
  max: number;
  /** Told of each socket that there is no room for; it is dropped afterwards. */
  onDrop: (socket: Socket) => void;
}

interface Handshake {
  readonly isIdle: true;
  readonly socket: Socket;
  /** Milliseconds. */
  readonly since: number;
}

/** A handshake that takes longer, in milliseconds, makes room where others wait. */
const patienceMs = 1000;
/** How often that is looked at, in milliseconds. */
const lookMs = 100;
/** For each that is under way so many can wait: a socket that nothing is read of takes 3 KiB or so. */
const waitingForEach = 4;

/**
 * The connections whose TLS handshake is not over: each holds some 64 KiB before anything is known of its
 * peer. When there are too many, the next ones wait, unread: the handshakes of many clients that all come
 * back at once are soon over. One that takes longer makes room; and at once, the oldest of an address that
 * has at least two more than the address of whoever comes.
 */
export class Handshakes {
  readonly #max: number;
  readonly #onDrop: (socket: Socket) => void;
  readonly #open = new Places<Handshake>();
  readonly #places = new Map<Socket, Place<Handshake>>();
  /** In the order in which they came, with what begins each. */
  readonly #waiting = new Map<Socket, () => void>();
  readonly #dropped = new WeakSet<Socket>();
  #looking: NodeJS.Timeout | undefined;

  constructor({ max, onDrop }: HandshakesOptions) {
    this.#max = max;
    this.#onDrop = onDrop;
  }

  /** A socket was accepted, of which nothing has been read; `begin` does that, now or later. */
  accept(socket: Socket, begin: () => void): void {
    socket.once('close', () => this.end(socket));
    const owner = ownerOf(socket.remoteAddress);
    if (this.#open.size < this.#max || this.#makeRoom(owner, (_, evens) => evens)) {
      return this.#start(socket, owner, begin);
    }
    if (this.#waiting.size >= waitingForEach * this.#max) return this.#drop(socket);
    // Nobody else listens for what becomes of it meanwhile.
    socket.on('error', () => {});
    this.#waiting.set(socket, begin);
    this.#looking ??= setInterval(() => this.#look(), lookMs).unref();
  }

  /** Whether the socket has made room for another. */
  hasDropped(socket: Socket): boolean {
    return this.#dropped.has(socket);
  }

  /** The handshake on it is over; or that of a socket which was over already. */
  end(socket: Socket): void {
    this.#waiting.delete(socket);
    const place = this.#places.get(socket);
    if (!place) return;
    this.#places.delete(socket);
    this.#open.leave(place);
    this.#next();
  }

  #start(socket: Socket, owner: string, begin: () => void): void {
    const handshake = { isIdle: true, socket, since: performance.now() } as const;
    this.#places.set(socket, this.#open.enter(handshake, owner));
    begin();
  }

  #next(): void {
    for (const [socket, begin] of this.#waiting) {
      if (this.#open.size >= this.#max) return;
      this.#waiting.delete(socket);
      this.#start(socket, ownerOf(socket.remoteAddress), begin);
    }
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #look(): void {
    const then = performance.now() - patienceMs;
    while (this.#waiting.size > 0 && this.#makeRoom('', ({ since }) => since <= then)) this.#next();
  }

  #makeRoom(owner: string, mayGo: (handshake: Handshake, evens: boolean) => boolean): boolean {
    const place = this.#open.find(owner, mayGo);
    if (!place) return false;
    const { socket } = place.holder;
    this.#places.delete(socket);
    this.#open.leave(place);
    this.#drop(socket);
    return true;
  }

  #drop(socket: Socket): void {
    this.#dropped.add(socket);
    this.#onDrop(socket);
    socket.destroy();
  }
}
