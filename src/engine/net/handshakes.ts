import type { Socket } from 'node:net';
import { ownerOf, type Place, Places } from './connections.ts';

interface HandshakesOptions {
  /** So many at once. */
  max: number;
  /** Told of each socket that there is no room for; it is dropped afterwards. */
  onDrop: (socket: Socket) => void;
}

interface Begin {
  /** Does what comes next on the socket, now or later. */
  begin: () => void;
  /** For each that can be under way so many can wait. */
  waitingForEach: number;
}

interface Handshake {
  readonly isIdle: true;
  readonly socket: Socket;
  readonly owner: string;
  readonly begin: () => void;
  /** Since when it is under way, in milliseconds. */
  since: number;
}

/** A handshake that takes longer, in milliseconds, makes room where others wait. */
const patienceMs = 1000;
/** How often that is looked at, in milliseconds. */
const lookMs = 100;

/**
 * The connections whose TLS handshake is not over: each holds some 64 KiB before anything is known of its
 * peer, and up to 2 MiB where that one shows certificates. When there are too many, the next ones wait, unread:
 * the handshakes of many clients that all come back at once are soon over. One that takes longer makes room for
 * the next of its own address, or of one that has fewer under way. Of those that wait, the next is of the address
 * that has fewest; where too many wait, one goes of the address that has most of them.
 */
export class Handshakes {
  readonly #max: number;
  readonly #onDrop: (socket: Socket) => void;
  readonly #open = new Places<Handshake>();
  readonly #waiting = new Places<Handshake>();
  /** Of all of both, in the order in which they came. */
  readonly #places = new Map<Socket, Place<Handshake>>();
  readonly #dropped = new WeakSet<Socket>();
  #looking: NodeJS.Timeout | undefined;

  constructor({ max, onDrop }: HandshakesOptions) {
    this.#max = max;
    this.#onDrop = onDrop;
  }

  /** Handshakes that are under way. */
  get open(): number {
    return this.#open.size;
  }

  /** A socket was accepted, of which nothing has been read. */
  accept(socket: Socket, { begin, waitingForEach }: Begin): void {
    socket.once('close', () => this.end(socket));
    const owner = ownerOf(socket.remoteAddress);
    const handshake: Handshake = { isIdle: true, socket, owner, begin, since: Infinity };
    if (this.#open.size < this.#max) return this.#start(handshake);
    const isFull = this.#waiting.size >= waitingForEach * this.#max;
    if (isFull && !this.#makeRoom(this.#waiting, owner, (_, evens) => evens)) {
      return this.#drop(socket);
    }
    // Nobody else listens for what becomes of it meanwhile.
    socket.on('error', () => {});
    this.#places.set(socket, this.#waiting.enter(handshake, owner));
    this.#looking ??= setInterval(() => this.#look(), lookMs).unref();
  }

  /** Whether the socket has made room for another. */
  hasDropped(socket: Socket): boolean {
    return this.#dropped.has(socket);
  }

  /** The handshake on it is over; or that of a socket which was over already. */
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
    const then = performance.now() - patienceMs;
    const isSlow = ({ since }: Handshake) => since <= then;
    for (let next = this.#firstOfFewest(); next; next = this.#firstOfFewest()) {
      if (!this.#makeRoom(this.#open, next.holder.owner, isSlow)) return;
      this.#next();
    }
  }

  #makeRoom(
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
