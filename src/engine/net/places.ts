import { Bag } from '../bag.ts';

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
  readonly #all = new Bag<Place<T>>();
  /** What V8 keeps of entries that are gone (see bag.ts) is small: an address without places has no lines. */
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
