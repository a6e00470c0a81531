import type { Socket } from 'node:net';
import { Accounts } from '../account.ts';
import type { HeldBytes } from '../held.ts';
import type { SocketTimes } from './connection_times.ts';
import type { Incident } from '../http2/incident.ts';
import { fixedLimits, type Http2Limits, type LimitSettings } from '../http2/limits.ts';
import { BoundSocket, type ServeOther, type SocketConnection } from './socket.ts';
import type { Serve } from '../http2/stream.ts';
import { TokenBucket } from '../http2/token_bucket.ts';
import { Scheduler } from '../scheduler.ts';
import { UnorderedSet } from '../unordered_set.ts';

/** Limits of a server, for all of its peers together. */
export interface Http2ServerOptions {
  /** Serves a stream of a connection that attach() was given. */
  serve: (...about: [...Parameters<Serve>, socket: Socket]) => ReturnType<Serve>;
  limits: LimitSettings & Partial<Http2Limits>;
  times: SocketTimes;
  /**
   * The maximum number of connections. Above it, an idle connection is closed in favour of a new one, or the new one
   * is refused; see mayGo().
   */
  maxConnections: number;
  /** The maximum number of open streams; further streams are refused, except the first two of a connection. */
  maxStreams: number;
  /** The maximum number of open calls; see Stream.countCall(). */
  maxCalls: number;
  /**
   * The maximum of buffered bytes. Above it, connections above their fair share are not read, and writers wait; a
   * second later, what makes no progress is ended with ENHANCE_YOUR_CALM. Garbage that is not collected yet comes on top.
   */
  maxBufferedBytes: number;
  /** Called for connection errors. */
  report?: ((incident: Incident, socket: Socket) => void) | undefined;
  /** Serves HTTP/1.1 connections; without it, they are refused. */
  serveHttp1?: ((deps: Http1Deps) => ServeOther) | undefined;
  /** The complete response to a peer that is refused because it does not speak HTTP/2. */
  http1Response?: ((socket: Socket) => Buffer) | undefined;
  /** Milliseconds on a monotonic clock. */
  now?: () => number;
  /** Returns 0 to 1, once for each connection. */
  random?: () => number;
  /** Schedules the work of all connections. */
  scheduler?: Scheduler;
}

/** Dependencies that HTTP/1.1 connections share with HTTP/2 connections. */
export interface Http1Deps {
  limits: Http2Limits;
  times: SocketTimes;
  /** Milliseconds on a monotonic clock. */
  now: () => number;
  /** Returns 0 to 1, once for each connection. */
  random: () => number;
}

/** The connections of a server, independent of its listeners. */
export interface Http2Server {
  /** Takes over a connected socket from a `net` server, or from a `tls` server with ALPN `h2`. */
  attach(socket: Socket): void;
  readonly openConnections: number;
  readonly openStreams: number;
  /** Bytes of all connections that count against the limit. */
  readonly bufferedBytes: number;
  /** Bytes by category. */
  readonly heldBytes: HeldBytes;
  /** Large messages that wait for admission. */
  readonly waitingMessages: number;
  /** Sends GOAWAY on every connection that is open now; new ones are served as usual. */
  retireConnections(): void;
  /** Sends GOAWAY on every connection, now and later; resolves when the last stream has ended. */
  shutdown(): Promise<void>;
  /** Destroys every connection. */
  destroy(): void;
}

const tickMs = 1000;
/**
 * A connection with a call within so many milliseconds is likely to have another one, and is only closed to even out
 * the shares.
 */
const minIdleMs = 2000;
/**
 * The maximum rate per second, with a burst of twice as many, at which connections are closed for others that do not
 * even out the shares; a tenth of all connections if that is less.
 */
const maxSwaps = 100;
/**
 * The rate for connections that have sent no more than the preface: refusing another costs a fifth of closing one.
 */
const maxGreetings = 1000;

/** Creates a server without listeners. */
export function createHttp2Server({
  serve,
  report = () => {},
  http1Response,
  serveHttp1,
  limits,
  times,
  maxConnections,
  maxStreams,
  maxCalls,
  maxBufferedBytes,
  now = performance.now.bind(performance),
  random = Math.random,
  scheduler = new Scheduler(),
}: Http2ServerOptions): Http2Server {
  const places = new Places<SocketConnection>();
  const swaps = new TokenBucket(Math.min(maxSwaps, Math.max(1, maxConnections / 10)), now);
  const greetings = new TokenBucket(maxGreetings, now);
  const http2Limits = { ...fixedLimits, ...limits };
  const accounts = new Accounts({
    bytes: maxBufferedBytes,
    calls: maxCalls,
    streams: maxStreams,
    connectionCost: http2Limits.connectionCost,
    window: http2Limits.initialWindowSize,
    later: (task) => scheduler.atEnd(task),
  });
  const deps = {
    serve,
    now,
    accounts,
    scheduler,
    limits: http2Limits,
    times,
    random,
  };
  const serveOther = serveHttp1?.(deps);
  const eviction: Incident = {
    reason: 'evicted',
    message: `Cannot keep an idle connection: there are ${maxConnections}, and a new one needs a slot`,
  };
  let ticker: NodeJS.Timeout | undefined;
  let shutdown: PromiseWithResolvers<void> | undefined;
  /** Connections that are open, or whose calls have not all ended. */
  let unended = 0;

  return {
    attach,
    get openConnections() {
      return places.size;
    },
    get openStreams() {
      return accounts.used.streams;
    },
    get bufferedBytes() {
      return accounts.used.bytes;
    },
    get heldBytes() {
      return accounts.heldBytes;
    },
    get waitingMessages() {
      return accounts.waitingMessages;
    },
    retireConnections() {
      for (const connection of places.all()) connection.shutdown();
    },
    shutdown() {
      shutdown ??= Promise.withResolvers();
      for (const connection of places.all()) connection.shutdown();
      if (unended === 0) shutdown.resolve();
      return shutdown.promise;
    },
    destroy() {
      for (const connection of places.all()) connection.destroy();
    },
  };

  function attach(socket: Socket): void {
    const owner = ownerOf(socket.remoteAddress);
    if (places.size >= maxConnections && !evictFor(owner)) {
      report(
        { reason: 'refused', message: `Cannot accept more than ${maxConnections} connections` },
        socket,
      );
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const connection = new BoundSocket(socket, {
      ...deps,
      report: (incident) => report(incident, socket),
      http1Response: http1Response && (() => http1Response(socket)),
      serveHttp1: serveOther,
      owner: sharerOf(owner),
      onIdle: (isIdle) => (isIdle ? places.wait(place) : places.work(place)),
      onClose: () => leave(place),
      onEnded,
    });
    unended++;
    const place = places.enter(connection, owner);
    if (shutdown) connection.shutdown();
    // One timer serves all connections.
    ticker ??= setInterval(tick, tickMs).unref();
  }

  function evictFor(owner: string): boolean {
    const place = places.find(owner, mayGo);
    if (!place) return false;
    // Frees the slot at once, whether or not the peer reads the GOAWAY.
    places.leave(place);
    place.holder.evict(eviction);
    return true;
  }

  /**
   * An address with fewer connections gets one from an address with at least two more. Any other swap makes nothing
   * fairer, and too many clients would replace each other in turn, reconnecting each time, so the rate of swaps is
   * limited and refused clients back off. A connection that has only sent its preface loses less by this, and may be
   * there to block others.
   */
  function mayGo({ hasAnswered, usedAgo }: SocketConnection, evens: boolean): boolean {
    if (evens) return true;
    return hasAnswered ? usedAgo >= minIdleMs && swaps.take() : greetings.take();
  }

  function leave(place: Place<SocketConnection>): void {
    places.leave(place);
    if (places.size > 0) return;
    clearInterval(ticker);
    ticker = undefined;
  }

  function onEnded(): void {
    unended--;
    if (unended === 0) shutdown?.resolve();
  }

  function tick(): void {
    for (const connection of places.all()) connection.tick();
    accounts.tick(scheduler.turn);
    // Data that arrives from now on belongs to another turn.
    scheduler.schedule();
  }
}

/**
 * The name of the peer that a connection shares with. Undefined if all connections come from this host: then each is
 * a peer of its own.
 */
function sharerOf(owner: string): string | undefined {
  return owner === 'unix' || owner === '0:0:0:0::/64' || owner.startsWith('127.')
    ? undefined
    : owner;
}

/** The holder of a slot: a connection. */
interface Holder {
  /** True if the connection is idle. A holder that is not leaves the queue of idle ones. */
  readonly isIdle: boolean;
}

/**
 * The connection slots of a server by remote address, each address with a queue of its idle connections, longest idle
 * first. Updates take constant time. Finding the connection to close takes one step for each distinct number of slots
 * that addresses hold: at most 173 for 15,000 slots, since these numbers sum up to the total.
 */
export class Places<T extends Holder> {
  readonly #all = new UnorderedSet<Place<T>>();
  /**
   * The garbage that V8 keeps for deleted entries (see unordered_set.ts) is small, as an address without slots has no
   * queues.
   */
  readonly #addresses = new Map<string, Address<T>>();
  /**
   * The level of addresses without slots. Levels are linked: `more` leads up, and its `fewer` is the highest level.
   */
  readonly #none = new Level<T>(0);

  get size(): number {
    return this.#all.size;
  }

  /** The number of slots of an address. */
  countOf(name: string): number {
    return this.#addresses.get(name)?.level.count ?? 0;
  }

  /** A snapshot of the holders; slots may change meanwhile. */
  all(): T[] {
    return this.#all.all().map(({ holder }) => holder);
  }

  /** Gives a slot to a connection, which starts out idle. */
  enter(holder: T, name: string): Place<T> {
    let address = this.#addresses.get(name);
    if (!address) this.#addresses.set(name, (address = new Address(name, this.#none)));
    this.#move(address, this.#above(address.level));
    const place = new Place(holder, address);
    this.#all.add(place);
    this.wait(place);
    return place;
  }

  /** Frees a slot, if it is not free already. */
  leave(place: Place<T>): void {
    if (place.slot === -1) return;
    this.work(place);
    this.#all.delete(place);
    const { address } = place;
    this.#move(address, this.#below(address.level));
    if (address.level === this.#none) this.#addresses.delete(address.name);
  }

  /** Appends an idle connection to the queue of its address. */
  wait(place: Place<T>): void {
    if (place.isWaiting || place.slot === -1) return;
    const { waiting, level } = place.address;
    place.isWaiting = true;
    if (!waiting.first) level.waiting.add(place.address);
    waiting.add(place);
  }

  /** Removes a busy connection from the queue. */
  work(place: Place<T>): void {
    if (!place.isWaiting) return;
    const { waiting, level } = place.address;
    place.isWaiting = false;
    waiting.delete(place);
    if (!waiting.first) level.waiting.delete(place.address);
  }

  /**
   * Finds the connection to close in favour of a new one from address `name`: the longest idle one of the address
   * with the most slots that has an idle connection. It returns none if that address has no more slots than the new
   * one's, so that whoever fills a server takes no slot of others. `mayGo` decides last; `evens` is true if closing
   * it evens out the shares, and false if the two addresses only swap.
   */
  find(name: string, mayGo: (holder: T, evens: boolean) => boolean): Place<T> | undefined {
    const own = this.#addresses.get(name);
    const count = own?.level.count ?? 0;
    for (let level = this.#none.fewer; level.count > count; level = level.fewer) {
      const place = this.#longestOf(level);
      if (place && mayGo(place.holder, level.count > count + 1)) return place;
    }
    const place = own && this.#longest(own);
    return place && mayGo(place.holder, false) ? place : undefined;
  }

  #longestOf({ waiting }: Level<T>): Place<T> | undefined {
    // If none is idle after all, the address has left the queue.
    for (let { first } = waiting; first; first = waiting.first) {
      const place = this.#longest(first);
      if (place) return place;
    }
    return undefined;
  }

  #longest({ waiting }: Address<T>): Place<T> | undefined {
    for (let { first } = waiting; first; first = waiting.first) {
      if (first.holder.isIdle) return first;
      this.work(first);
    }
    return undefined;
  }

  #above(level: Level<T>): Level<T> {
    const count = level.count + 1;
    return level.more.count === count ? level.more : new Level(count, level);
  }

  #below(level: Level<T>): Level<T> {
    const count = level.count - 1;
    return level.fewer.count === count ? level.fewer : new Level(count, level.fewer);
  }

  #move(address: Address<T>, to: Level<T>): void {
    const from = address.level;
    const isWaiting = address.waiting.first !== undefined;
    if (isWaiting) from.waiting.delete(address);
    address.level = to;
    if (isWaiting) to.waiting.add(address);
    to.addresses++;
    if (from === this.#none || --from.addresses > 0) return;
    from.fewer.more = from.more;
    from.more.fewer = from.fewer;
  }
}

/** The slot of one connection. */
export class Place<T> {
  readonly holder: T;
  readonly address: Address<T>;
  slot = -1;
  isWaiting = false;
  before: Place<T> | undefined;
  after: Place<T> | undefined;

  constructor(holder: T, address: Address<T>) {
    this.holder = holder;
    this.address = address;
  }
}

/** A remote address, with as many slots as its level says. */
class Address<T> {
  readonly name: string;
  /** Slots of idle connections, longest idle first. */
  readonly waiting = new Line<Place<T>>();
  level: Level<T>;
  before: Address<T> | undefined;
  after: Address<T> | undefined;

  constructor(name: string, level: Level<T>) {
    this.name = name;
    this.level = level;
  }
}

/** The addresses with the same number of slots. */
class Level<T> {
  readonly count: number;
  /** Those with an idle connection. */
  readonly waiting = new Line<Address<T>>();
  addresses = 0;
  fewer: Level<T>;
  more: Level<T>;

  constructor(count: number, fewer?: Level<T>) {
    this.count = count;
    this.fewer = fewer ?? this;
    this.more = fewer?.more ?? this;
    this.fewer.more = this;
    this.more.fewer = this;
  }
}

interface InLine<T> {
  before: T | undefined;
  after: T | undefined;
}

/** An intrusive doubly linked list: removal takes constant time and nothing is allocated. */
class Line<T extends InLine<T>> {
  first: T | undefined;
  #last: T | undefined;

  add(item: T): void {
    item.before = this.#last;
    if (this.#last) this.#last.after = item;
    else this.first = item;
    this.#last = item;
  }

  delete(item: T): void {
    const { before, after } = item;
    if (before) before.after = after;
    else this.first = after;
    if (after) after.before = before;
    else this.#last = before;
    item.before = undefined;
    item.after = undefined;
  }
}

/**
 * The address that a connection's slot and share belong to. An IPv6 host has a /64 network of its own (RFC 4291
 * section 2.5.4), except for unique local addresses (RFC 4193), which are assigned one by one. All peers of unix
 * sockets are one, as they are on this machine.
 */
export function ownerOf(address: string | undefined): string {
  if (address === undefined) return 'unix';
  if (!address.includes(':') || /^f[cd]/i.test(address)) return address;
  // IPv4-mapped.
  if (address.includes('.')) return address.slice(address.lastIndexOf(':') + 1);
  const [begin = '', end] = address.split('::');
  const head = begin.split(':');
  const tail = end?.split(':') ?? [];
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0');
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(':')}::/64`;
}
