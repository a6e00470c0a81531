import type { Socket } from 'node:net';
import { Accounts, type HeldBytes } from '../account.ts';
import type { SocketTimes } from './connection_times.ts';
import { type Given, withDefaults } from './defaults.ts';
import type { Incident } from '../http2/incident.ts';
import { defaultLimits, type Http2Limits } from '../http2/limits.ts';
import { bindSocket, type ServeOther, type SocketConnection } from './socket.ts';
import type { Serve } from '../http2/stream.ts';
import { TokenBucket } from '../http2/token_bucket.ts';
import { Scheduler } from '../scheduler.ts';
import { UnorderedSet } from '../unordered_set.ts';

/** What a server bears of all its peers together. */
export interface Http2ServerOptions {
  /** Serves a stream of a connection that attach() was given. */
  serve: (...about: [...Parameters<Serve>, socket: Socket]) => ReturnType<Serve>;
  limits?: Given<Http2Limits>;
  times?: Given<SocketTimes>;
  /** Beyond it a connection that is idle goes for one that comes, or that one is closed; see mayGo(). */
  maxConnections?: number | undefined;
  /** Streams that all connections together may have open; more are refused, but for the first two of a connection. */
  maxStreams?: number | undefined;
  /** Calls that all connections together may have open; see Stream.countCall(). */
  maxCalls?: number | undefined;
  /**
   * Bytes that all connections together may keep. Beyond it those that have more than their share stop reading, and
   * writers wait; a second later what makes no progress is given up with ENHANCE_YOUR_CALM.
   */
  maxBufferedBytes?: number | undefined;
  /** Told what goes wrong with a connection. */
  report?: ((incident: Incident, socket: Socket) => void) | undefined;
  /** Serves peers of HTTP/1.1; they are refused, if it is left out. */
  serveHttp1?: ((deps: Http1Deps) => ServeOther) | undefined;
  /** What is said to a peer that is not served as it speaks no HTTP/2: all of a response. */
  http1Response?: ((socket: Socket) => Buffer) | undefined;
  /** Milliseconds. */
  now?: () => number;
  /** From 0 to 1, for each connection. */
  random?: () => number;
  /** Shares out the work of all connections. */
  scheduler?: Scheduler;
}

/** What connections of HTTP/1.1 have in common with the others. */
export interface Http1Deps {
  limits: Http2Limits;
  times: SocketTimes;
  /** Milliseconds. */
  now: () => number;
  /** From 0 to 1, for each connection. */
  random: () => number;
}

/** The connections of one server, whatever listens for them. */
export interface Http2Server {
  /** Takes a connected socket over: from a `net` server, or from a `tls` one with ALPN `h2`. */
  attach(socket: Socket): void;
  readonly openConnections: number;
  readonly openStreams: number;
  /** Bytes that all connections together keep, of what is limited. */
  readonly bufferedBytes: number;
  /** What they hold, by what it is for. */
  readonly heldBytes: HeldBytes;
  /** Large messages that wait for room. */
  readonly waitingMessages: number;
  /** Says GOAWAY on every connection that there is now; new ones are served as before. */
  retireConnections(): void;
  /** Says GOAWAY on every connection, now and from now on; resolves when the last stream has ended. */
  shutdown(): Promise<void>;
  /** Drops every connection. */
  destroy(): void;
}

const defaultTimes: SocketTimes = {
  preface: 10_000,
  idle: 300_000,
  keepalive: 60_000,
  keepaliveTimeout: 20_000,
  age: Number.POSITIVE_INFINITY,
  ageGrace: 20_000,
};
const defaultMaxConnections = 15_000;
/** What is garbage and not yet collected comes on top: a pod of 256 MiB should have half of it. */
const defaultMaxBufferedBytes = 64 * 1024 * 1024;
const tickMs = 1000;
/** What has had a call in so many milliseconds is likely to have another, and only goes to even out. */
const leastIdleMs = 2000;
/** So many a second go for others that have no fewer, or a tenth of all; twice as many at once. */
const mostSwaps = 100;
/** The same of those that have said no more than a greeting: to refuse another costs a fifth of it. */
const mostGreetings = 1000;

/** Makes a server that listens on nothing itself. */
export function createHttp2Server({
  serve,
  report = () => {},
  http1Response,
  serveHttp1,
  limits,
  times,
  maxConnections = defaultMaxConnections,
  maxStreams = Number.POSITIVE_INFINITY,
  maxCalls = Number.POSITIVE_INFINITY,
  maxBufferedBytes = defaultMaxBufferedBytes,
  now = performance.now.bind(performance),
  random = Math.random,
  scheduler = new Scheduler(maxBufferedBytes / 2),
}: Http2ServerOptions): Http2Server {
  const places = new Places<SocketConnection>();
  const swaps = new TokenBucket(Math.min(mostSwaps, Math.max(1, maxConnections / 10)), now);
  const greetings = new TokenBucket(mostGreetings, now);
  const http2Limits = withDefaults(defaultLimits, limits);
  const accounts = new Accounts({
    bytes: maxBufferedBytes,
    calls: maxCalls,
    streams: maxStreams,
    window: http2Limits.initialWindowSize,
    later: (task) => scheduler.atEnd(task),
  });
  const deps = {
    serve,
    now,
    accounts,
    scheduler,
    limits: http2Limits,
    times: withDefaults(defaultTimes, times),
    random,
  };
  const serveOther = serveHttp1?.(deps);
  const eviction: Incident = {
    reason: 'evicted',
    message: `Cannot keep an idle connection: there are ${maxConnections}, and another one comes`,
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
    if (places.size >= maxConnections && !makeRoom(owner)) {
      report(
        { reason: 'refused', message: `Cannot take more than ${maxConnections} connections` },
        socket,
      );
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const connection = bindSocket(socket, {
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
    // One timer for all connections.
    ticker ??= setInterval(tick, tickMs).unref();
  }

  function makeRoom(owner: string): boolean {
    const place = places.find(owner, mayGo);
    if (!place) return false;
    // At once, whether or not its peer takes our last words.
    places.leave(place);
    place.holder.evict(eviction);
    return true;
  }

  /**
   * Whoever has fewer connections gets one of whoever has at least two more, whatever that one does about it.
   * Any other change makes nothing fairer, and clients that are too many would take each other's places in
   * turn, each coming back as soon as it had to go. So it is bounded, and those that are refused wait longer
   * each time. Who has only said its greeting has less to lose, and may be there to keep others out.
   */
  function mayGo({ hasAnswered, usedAgo }: SocketConnection, evens: boolean): boolean {
    if (evens) return true;
    return hasAnswered ? usedAgo >= leastIdleMs && swaps.take() : greetings.take();
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
    // What comes from now on is of another turn.
    scheduler.schedule();
  }
}

/** Who shares with others of its address: undefined where all come from this host, and each connection is a peer. */
function sharerOf(owner: string): string | undefined {
  return owner === 'unix' || owner === '0:0:0:0::/64' || owner.startsWith('127.')
    ? undefined
    : owner;
}

/** Who may have a place: a connection. */
interface Holder {
  /** Whether it has nothing to do at this moment. One that has leaves the line of those who wait. */
  readonly isIdle: boolean;
}

/**
 * The places of a server by the address that holds them, and who has waited longest at each for something to
 * do. What happens to one takes a few steps, however many there are; to find who goes takes one for each
 * number of places that any address holds: there are at most 173 such numbers for 15,000 places, since they
 * add up to these.
 */
export class Places<T extends Holder> {
  readonly #all = new UnorderedSet<Place<T>>();
  /** What V8 keeps of entries that are gone (see unordered_set.ts) is small: an address without places has no lines. */
  readonly #addresses = new Map<string, Address<T>>();
  /** Those with no places; `more` goes up from it, and `fewer` is the one with the most. */
  readonly #none = new Level<T>(0);

  get size(): number {
    return this.#all.size;
  }

  /** How many places an address holds. */
  countOf(name: string): number {
    return this.#addresses.get(name)?.level.count ?? 0;
  }

  /** Who holds a place now; more may come and go meanwhile. */
  all(): T[] {
    return this.#all.all().map(({ holder }) => holder);
  }

  /** Gives a place to who comes from an address, and waits. */
  enter(holder: T, name: string): Place<T> {
    let address = this.#addresses.get(name);
    if (!address) this.#addresses.set(name, (address = new Address(name, this.#none)));
    this.#move(address, this.#above(address.level));
    const place = new Place(holder, address);
    this.#all.add(place);
    this.wait(place);
    return place;
  }

  /** Frees a place; one that is free already stays so. */
  leave(place: Place<T>): void {
    if (place.slot === -1) return;
    this.work(place);
    this.#all.delete(place);
    const { address } = place;
    this.#move(address, this.#below(address.level));
    if (address.level === this.#none) this.#addresses.delete(address.name);
  }

  /** Puts who has nothing to do at the end of its address's line. */
  wait(place: Place<T>): void {
    if (place.isWaiting || place.slot === -1) return;
    const { waiting, level } = place.address;
    place.isWaiting = true;
    if (!waiting.first) level.waiting.add(place.address);
    waiting.add(place);
  }

  /** Takes who has something to do out of the line. */
  work(place: Place<T>): void {
    if (!place.isWaiting) return;
    const { waiting, level } = place.address;
    place.isWaiting = false;
    waiting.delete(place);
    if (!waiting.first) level.waiting.delete(place.address);
  }

  /**
   * Finds who goes for somebody from an address: who has waited longest at the address with the most places
   * where anybody does; at one with as many as the other has, or fewer, nobody: whoever fills a server takes
   * no place of others. `mayGo` is asked last, and whether that `evens` out what the two addresses have: if
   * not, it only swaps them.
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
    // Where nobody is idle after all, the address has left the line.
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

/** A place that somebody holds. */
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

/** An address, the places of which are as many as its level says. */
class Address<T> {
  readonly name: string;
  /** Places whose holders wait, who waits longest first. */
  readonly waiting = new Line<Place<T>>();
  level: Level<T>;
  before: Address<T> | undefined;
  after: Address<T> | undefined;

  constructor(name: string, level: Level<T>) {
    this.name = name;
    this.level = level;
  }
}

/** The addresses that have so many places each. */
class Level<T> {
  readonly count: number;
  /** Those of them where anybody waits. */
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

/** A list whose items know their neighbours: any of them leaves it at once, and nothing is made for it. */
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
 * Whose connection it is, by the address of its other end. A host of IPv6 has 2^64 addresses of its own, all
 * that begin as one does (RFC 4291 section 2.5.4), but for private ones (RFC 4193), which a network's owner
 * gives to hosts. All peers of unix sockets are one: they are on this machine.
 */
export function ownerOf(address: string | undefined): string {
  if (address === undefined) return 'unix';
  if (!address.includes(':') || /^f[cd]/i.test(address)) return address;
  // Mapped from IPv4.
  if (address.includes('.')) return address.slice(address.lastIndexOf(':') + 1);
  const [begin = '', end] = address.split('::');
  const head = begin.split(':');
  const tail = end?.split(':') ?? [];
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0');
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(':')}::/64`;
}
