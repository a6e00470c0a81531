import { UnorderedSet, type Placed } from './unordered_set.ts';
import { type Spare, Spares, type Waiting, WaitingLine, type Wish } from './room.ts';

/** What peers make a server hold, by what it is for: an index for each. */
export const Held = {
  /** Connections themselves: sockets, and what TLS keeps. */
  connections: 0,
  /** Open streams themselves, and what serves them. */
  calls: 1,
  /** Header lists of requests, blocks that came in part, HPACK's tables and caches. */
  headers: 2,
  /** Bodies of requests as they came. */
  bodies: 3,
  /** What those have become, inflated and decoded, and room that is kept for it. */
  messages: 4,
  /** What services keep of messages that they have had. */
  retained: 5,
  /** Encoded responses that wait to be framed. */
  responses: 6,
  /** Frames that have come in part, or wait for their turn. */
  input: 7,
  /** Frames that wait for the socket, or in it. */
  output: 8,
} as const;

/** One of them. */
export type Category = (typeof Held)[keyof typeof Held];

/** Bytes by the names of their categories. */
export type HeldBytes = Readonly<Record<string, number>>;

/** What is limited for all peers of a server together. */
export interface Limited {
  /** Of all that is held, but for connections themselves. */
  bytes: number;
  /** Open calls, but for those that nothing limits. */
  calls: number;
  /** Open streams. */
  streams: number;
}

/** A connection, as far as it can let go of what it holds. */
export interface Holder {
  /**
   * Ends what takes of something that is limited, the longest without progress first, but no message that has been
   * given room and has gone on since that turn. Gives how much it was: 0 where there is nothing to end.
   */
  evict(limited: keyof Limited, since: number): number;
  /** The same of what is in the middle of a message, and has made no progress since that turn. */
  evictStalled(since: number): number;
}

class Usage implements Limited, Placed {
  slot = -1;
  bytes = 0;
  calls = 0;
  streams = 0;
}

/** The connections of one address. */
class Peer extends Usage {
  readonly name: string;
  readonly accounts = new UnorderedSet<Account>();
  /** How many of those have open streams. */
  active = 0;

  constructor(name: string) {
    super();
    this.name = name;
  }
}

/** What one connection holds. One that shares with no other is a peer by itself. */
export class Account extends Usage {
  readonly peer: Peer | undefined;
  /** Set as soon as it is there. */
  holder: Holder | undefined;
  readonly #all: Accounts;
  /** Bytes of bodies: the peer's, and ours that it has not taken. */
  bodies = 0;
  /** Messages on their way that have been given room. */
  #admitted = 0;

  constructor(all: Accounts, peer: Peer | undefined, holder: Holder | undefined) {
    super();
    this.#all = all;
    this.peer = peer;
    this.holder = holder;
  }

  /** See Holder. */
  evict(limited: keyof Limited, since: number): number {
    return this.holder?.evict(limited, since) ?? 0;
  }

  evictStalled(since: number): number {
    return this.holder?.evictStalled(since) ?? 0;
  }

  /** Counts so many bytes more, or with a negative number fewer. */
  charge(category: Category, bytes: number): void {
    this.#all.charge(this, category, bytes);
  }

  /** Counts a stream that was opened, or with -1 one that is over. */
  count(limited: 'calls' | 'streams', more: 1 | -1): void {
    this.#all.count(this, limited, more);
  }

  /** Whether there is room for so much more of it: see Accounts. */
  admits(limited: keyof Limited, amount: number): boolean {
    return this.#all.admit(this, limited, amount);
  }

  /**
   * Whether it may go on to have more: there is room, or not much too little, and it has no more than its share or
   * receives a message that has been given room.
   */
  get mayGrow(): boolean {
    if (!this.#all.isExceeded) return true;
    if (this.mustStop) return false;
    return this.#admitted > 0 || !this.#all.isAboveShare(this);
  }

  /** Whether there is so much that it may not even end what it has, where that adds to it. */
  get mustStop(): boolean {
    if (!this.#all.isFarExceeded) return false;
    return this.#all.isOverfull || this.#all.isAboveShare(this);
  }

  /** Bytes that it may have more; negative where it has too many. */
  get room(): number {
    return this.#all.roomOf(this);
  }

  /** Of what a message would take, as much as anybody is given. */
  mostOf(bytes: number): number {
    return this.#all.mostOf(bytes);
  }

  /** Asks for room for a message; see Accounts. */
  ask(bytes: number, wish: Wish): Waiting<Account> | 'granted' | 'refused' {
    return this.#all.ask(this, bytes, wish);
  }

  /** Begins to receive a message that there is room for, or ends that with -1. */
  admit(more: 1 | -1): void {
    this.#admitted += more;
    this.#all.countAdmitted(more);
  }

  /** Whether the window of a stream may be so much wider; what it is narrower again is negative. */
  widen(bytes: number): boolean {
    return this.#all.widen(bytes);
  }

  /** Takes a wish back. */
  leave(waiting: Waiting<Account>): void {
    this.#all.leave(waiting);
  }
}

/** Of the limit: where there is no room, spares are dropped until so much is free. */
const roomMade = 1 / 16;
/**
 * So far beyond the limit of bytes nobody who has more than its share may add to them but by what others lose, whatever
 * it would free later; and so far, nobody at all.
 */
const far = 5 / 4;
const overfull = 3 / 2;
/** Messages that wait have sent a window each: for so much of the limit they may. */
const waitingPart = 3 / 8;
/** Of the limit, what windows may be wider than at first: those may have been sent, too. */
const widerPart = 1 / 8;
/** Of the limit, what one message is given: there is always something else that takes a little. */
const mostPart = 3 / 4;
/** To end a call takes a while: others have their turn after so many. */
const evictionsAtOnce = 16;
/** They are refused after so many seconds: their callers may try elsewhere. */
const patience = 10;
const none = Number.POSITIVE_INFINITY;

interface AccountsOptions extends Partial<Limited> {
  /** Bytes that a message may have sent before there must be room for it. */
  window?: number;
  /** Runs a task when what goes on has been done. */
  later?: (task: () => void) => void;
}

/**
 * What all connections of a server hold, against limits that their peers share. A peer may use a whole limit
 * while nobody else asks. When it is used up, a peer below limit ÷ peers gets in all the same, and the peer with
 * the most loses what has made no progress for longest. The connections of a peer share what it has likewise.
 * Those count that have open streams.
 */
export class Accounts {
  readonly used: Limited = { bytes: 0, calls: 0, streams: 0 };
  #admitted = 0;
  /** Bytes that a message was given though they were not there. */
  #overdraft = 0;
  /** Bytes by category. */
  readonly held: number[] = Object.keys(Held).map(() => 0);
  readonly #limits: Limited;
  readonly #later: (task: () => void) => void;
  readonly #peers = new Map<string, Peer>();
  /** Who shares: peers of several connections, and connections that are peers. */
  readonly #sharers = new UnorderedSet<Peer | Account>();
  /** How many of those have open streams. */
  #active = 0;
  readonly #spares = new Spares();
  readonly #resumes = new Set<() => void>();
  readonly #waiting: WaitingLine<Account>;
  #widened = 0;
  #isServing = false;
  #tick = 0;
  /** The turn of the last tick, and of the one before: what has not gone on since then makes no progress. */
  #lastTurn = -1;
  #since = -1;
  #wasExceeded = false;
  #relieving: Generator<undefined, void> | undefined;

  constructor({ window = 1, later = setImmediate, ...limits }: AccountsOptions = {}) {
    this.#limits = { bytes: none, calls: none, streams: none, ...limits };
    this.#later = later;
    this.#waiting = new WaitingLine((this.#limits.bytes * waitingPart) / window);
  }

  /** Bytes by the names of their categories. */
  get heldBytes(): HeldBytes {
    const held: Record<string, number> = {};
    for (const [name, at] of Object.entries(Held)) held[name] = this.held[at] ?? 0;
    return held;
  }

  /** Messages that wait for room. */
  get waitingMessages(): number {
    return this.#waiting.size;
  }

  /** Whether there are more bytes than may be. */
  get isExceeded(): boolean {
    return this.used.bytes > this.#limits.bytes;
  }

  get isFarExceeded(): boolean {
    return this.used.bytes > this.#farLimit;
  }

  get isOverfull(): boolean {
    return this.used.bytes > this.#limits.bytes * overfull + this.#overdraft;
  }

  /** One message gets through: what it is given beyond the limit stops nobody else. */
  get #farLimit(): number {
    return this.#limits.bytes * far + this.#overdraft;
  }

  /** Messages on their way that have been given room: one more, or with -1 one fewer. */
  countAdmitted(more: 1 | -1): void {
    this.#admitted += more;
    if (this.#admitted === 0) this.#overdraft = 0;
  }

  get freeBytes(): number {
    return this.#limits.bytes - this.used.bytes;
  }

  /** Opens an account for a connection. Those of one `peer` share; where there is no name, it is a peer itself. */
  open(peer: string | undefined, holder?: Holder): Account {
    if (peer === undefined) {
      const account = new Account(this, undefined, holder);
      this.#sharers.add(account);
      return account;
    }
    let known = this.#peers.get(peer);
    if (!known) {
      this.#peers.set(peer, (known = new Peer(peer)));
      this.#sharers.add(known);
    }
    const account = new Account(this, known, holder);
    known.accounts.add(account);
    return account;
  }

  charge(account: Account, category: Category, bytes: number): void {
    this.held[category] = (this.held[category] ?? 0) + bytes;
    if (category === Held.connections) return;
    account.bytes += bytes;
    if (category === Held.bodies || category === Held.responses) account.bodies += bytes;
    if (account.peer) account.peer.bytes += bytes;
    this.used.bytes += bytes;
    if (bytes > 0) {
      if (this.#spares.size > 0 && this.isExceeded) this.#dropSpares();
    } else if (this.#resumes.size + this.#waiting.size > 0) this.#serveLater();
  }

  count(account: Account, limited: 'calls' | 'streams', more: 1 | -1): void {
    const { peer } = account;
    this.used[limited] += more;
    account[limited] += more;
    if (peer) peer[limited] += more;
    if (limited === 'calls' || account.streams !== (more === 1 ? 1 : 0)) return;
    // It has its first stream, or has had its last.
    if (peer) peer.active += more;
    if (!peer || peer.active === (more === 1 ? 1 : 0)) this.#active += more;
  }

  roomOf(account: Account): number {
    const used = (account.peer ?? account).bytes;
    return Math.max(this.freeBytes, this.#share('bytes', account) - used);
  }

  widen(bytes: number): boolean {
    if (bytes > 0 && this.#widened + bytes > this.#limits.bytes * widerPart) return false;
    this.#widened += bytes;
    return true;
  }

  /**
   * Whether there is room for so much more of an account. Where there is none, one that has less than its share gets
   * it all the same: of bytes there may be a quarter more for that, and beyond it others have to make room.
   */
  admit(account: Account, limited: keyof Limited, amount: number): boolean {
    const limit = this.#limits[limited];
    return this.used[limited] + amount <= limit || this.#makeRoom(account, limited, amount);
  }

  #makeRoom(account: Account, limited: keyof Limited, amount: number): boolean {
    const fits = (limit: number) => this.used[limited] + amount <= limit;
    let victim = this.#victim(account, limited, amount);
    for (let left = evictionsAtOnce; victim && left > 0; left--) {
      if (fits(limited === 'bytes' ? this.#farLimit : this.#limits[limited])) return true;
      if (limited !== 'bytes') victim.evict(limited, this.#since);
      // What goes on is over soon, and little is asked for.
      else if (victim.evictStalled(this.#since) <= 0) return true;
      victim = this.#victim(account, limited, amount);
    }
    return fits(this.#limits[limited]);
  }

  mostOf(bytes: number): number {
    return Math.min(bytes, this.#limits.bytes * mostPart);
  }

  /**
   * Asks for room for a message on its way. Where there is none it waits, with those of peers that have least
   * first, but what fits need not wait for what does not. Where too many wait, one is refused of the peer that has
   * most of them.
   */
  ask(account: Account, bytes: number, wish: Wish): Waiting<Account> | 'granted' | 'refused' {
    if (this.#fitsBeside(bytes)) return 'granted';
    const waiting = this.#waiting.enter({ ...wish, account, bytes, since: this.#tick });
    if (waiting) this.#serveLater();
    return waiting ?? 'refused';
  }

  /** Beside what waits, and is not to wait for ever: once that is late, others have half of what there is. */
  #fitsBeside(bytes: number): boolean {
    return bytes <= (this.#isLate ? this.freeBytes / 2 : this.freeBytes);
  }

  /** Whether a message has waited for a second or two. */
  get #isLate(): boolean {
    const { first } = this.#waiting;
    return first !== undefined && this.#tick - first.since > 1;
  }

  leave(waiting: Waiting<Account>): void {
    this.#waiting.leave(waiting);
  }

  /** Calls back once there is not more any more than may be. */
  onRoom(resume: () => void): void {
    this.#resumes.add(resume);
  }

  /** Takes onRoom() back. */
  offRoom(resume: () => void): void {
    this.#resumes.delete(resume);
  }

  /** Has something dropped, once, where there is no room for what is of use. */
  offer(spare: Spare): void {
    this.#spares.add(spare);
  }

  /** A connection is over, and holds nothing: its spare is taken back. */
  close(account: Account, spare: Spare): void {
    this.#spares.delete(spare);
    const { peer } = account;
    if (!peer) return this.#sharers.delete(account);
    peer.accounts.delete(account);
    if (peer.accounts.size > 0) return;
    this.#peers.delete(peer.name);
    this.#sharers.delete(peer);
  }

  /**
   * To be called every second, with the turn that it is. What has been too much for a second is ended, and where
   * messages have waited as long, so are those that others are in the middle of and do not go on with.
   */
  tick(turn: number): void {
    this.#tick++;
    this.#since = this.#lastTurn;
    this.#lastTurn = turn;
    this.#waiting.expire(this.#tick - patience);
    if (this.#isLate || (this.isExceeded && this.#wasExceeded)) this.#relieve();
    this.#wasExceeded = this.isExceeded;
    if (this.#waiting.size > 0) this.#serveLater();
  }

  isAboveShare(account: Account): boolean {
    return (account.peer ?? account).bytes > this.#share('bytes', account);
  }

  /** What each sharer may have where all want more than there is. */
  #share(limited: keyof Limited, { peer, streams }: Account): number {
    const others = (peer ? peer.active : streams) > 0 ? this.#active : this.#active + 1;
    return this.#limits[limited] / Math.max(1, others);
  }

  /** Who has to make room for an account: nobody, where it has its share already. */
  #victim(account: Account, limited: keyof Limited, amount: number): Account | undefined {
    const { peer } = account;
    const own = peer ?? account;
    const share = this.#share(limited, account);
    if (own[limited] + amount <= share) {
      const most = largest(this.#sharers, limited);
      if (most && most !== own && most[limited] > share) return accountOf(most, limited);
    }
    if (!peer) return undefined;
    const part = peer[limited] / Math.max(1, account.streams > 0 ? peer.active : peer.active + 1);
    if (account[limited] + amount > part) return undefined;
    const most = largest(peer.accounts, limited);
    return most && most !== account && most[limited] > part ? most : undefined;
  }

  #relieve(): void {
    if (this.#relieving) return;
    this.#relieving = this.#evictions();
    this.#goOnRelieving();
  }

  readonly #goOnRelieving = (): void => {
    for (let left = evictionsAtOnce; left > 0; left--) {
      if (this.#relieving?.next().done === false) continue;
      this.#relieving = undefined;
      return;
    }
    this.#later(this.#goOnRelieving);
  };

  /** Ends what others are in the middle of and do not go on with, and where that is not enough, of who has too much. */
  *#evictions(): Generator<undefined, void> {
    const accounts = this.#accounts().toSorted(byUse);
    for (const account of accounts) {
      while (this.#isShort() && this.isAboveShare(account)) {
        if (account.evictStalled(this.#since) <= 0) break;
        yield;
      }
    }
    for (const account of accounts) {
      while (this.isExceeded && this.isAboveShare(account)) {
        if (account.evict('bytes', this.#since) <= 0) break;
        yield;
      }
    }
    yield* this.#evictionsForWaiting();
  }

  /** Calls that go on make room, too, for a message within its peer's share, but for the last message on its way. */
  *#evictionsForWaiting(): Generator<undefined, void> {
    for (let { next } = this.#waiting; next; { next } = this.#waiting) {
      if (!this.#isLate || next.bytes <= this.freeBytes || this.#admitted === 1) return;
      const victim = this.#victim(next.account, 'bytes', next.bytes);
      const gone = victim && (victim.evict('bytes', this.#since) || victim.evict('bytes', none));
      if (!gone) return;
      yield;
    }
  }

  /** Whether there is too much, or not enough for what waits. */
  #isShort(): boolean {
    const { next } = this.#waiting;
    return next ? next.bytes > this.freeBytes : this.isExceeded;
  }

  #accounts(): Account[] {
    return this.#sharers
      .all()
      .flatMap((sharer) => (sharer instanceof Account ? [sharer] : sharer.accounts.all()));
  }

  /** More than is needed, so that not every byte that comes has all spares looked at. */
  #dropSpares(): void {
    const enough = this.#limits.bytes * (1 - roomMade);
    this.#spares.dropUntil(() => this.used.bytes <= enough);
  }

  #serveLater(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    this.#later(this.#serve);
  }

  readonly #serve = (): void => {
    this.#isServing = false;
    const [next, ...others] = this.#waiting.inOrder();
    if (next) this.#serveNext(next);
    for (const waiting of others) if (this.#fitsBeside(waiting.bytes)) this.#grant(waiting);
    if (this.isExceeded) return;
    const resumes = [...this.#resumes];
    this.#resumes.clear();
    for (const resume of resumes) resume();
  };

  #serveNext(next: Waiting<Account>): void {
    // One at a time gets through, though there is too little room.
    if (next.bytes <= this.freeBytes) this.#grant(next);
    else if (this.#admitted === 0 && !this.isFarExceeded) {
      this.#overdraft = next.bytes - Math.max(0, this.freeBytes);
      this.#grant(next);
    }
  }

  #grant(waiting: Waiting<Account>): void {
    this.#waiting.leave(waiting);
    waiting.granted();
    if (this.#waiting.size > 0) this.#serveLater();
  }
}

/** Those of the peer that has most come first. */
function byUse(a: Account, b: Account): number {
  return (b.peer ?? b).bytes - (a.peer ?? a).bytes || b.bytes - a.bytes;
}

function largest<T extends Usage>(usages: UnorderedSet<T>, limited: keyof Limited): T | undefined {
  let most: T | undefined;
  for (const usage of usages.all()) {
    if (!most || usage[limited] > most[limited]) most = usage;
  }
  return most;
}

function accountOf(sharer: Peer | Account, limited: keyof Limited): Account | undefined {
  return sharer instanceof Account ? sharer : largest(sharer.accounts, limited);
}
