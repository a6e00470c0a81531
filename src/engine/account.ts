import {
  Admission,
  type AdmissionCallbacks,
  type AdmissionRequest,
  type Reclaimable,
  ReclaimableSet,
} from './admission.ts';
import { type Category, Held, type HeldBytes } from './held.ts';
import { PausedConnections } from './paused_connections.ts';
import { UnorderedSet } from './unordered_set.ts';
import {
  reclaimedPart,
  far,
  overfull,
  waitingPart,
  widerPart,
  maxPart,
  evictionsAtOnce,
} from './parts_of_limits.ts';
import { largest, type Limited, Usage } from './usage.ts';

export type { Limited } from './usage.ts';

/** Frees what a connection holds. */
export interface Holder {
  /**
   * Resets the call or stream that uses the resource and has gone longest without progress. It spares a call whose
   * admitted message has made progress since turn `since`. Returns the amount freed, 0 if there is nothing to
   * reset.
   */
  evict(limited: keyof Limited, since: number): number;
  /** Does the same, but only for a call that waits in the middle of a message, without progress since `since`. */
  evictStalled(since: number): number;
}

/** All connections from one address. */
class Peer extends Usage {
  readonly name: string;
  readonly accounts = new UnorderedSet<Account>();
  /** The number of these connections that are active. */
  active = 0;

  constructor(name: string) {
    super();
    this.name = name;
  }
}

/** The memory, calls and streams of one connection. An account without a peer is a peer of its own. */
export class Account extends Usage {
  readonly peer: Peer | undefined;
  /** Set once the connection exists. */
  holder: Holder | undefined;
  readonly #all: Accounts;
  /** Bytes of request bodies, and of responses that the peer has not taken. */
  bodies = 0;
  /** True while the connection holds more than a little that belongs to no stream, and that is no cache. */
  #holds = false;
  /** The number of admitted messages that are being received. */
  #admitted = 0;

  constructor(all: Accounts, peer: Peer | undefined, holder: Holder | undefined) {
    super();
    this.#all = all;
    this.peer = peer;
    this.holder = holder;
  }

  /** True if the connection takes part in fair sharing: it has open streams, or holds much without any. */
  get isActive(): boolean {
    return this.streams > 0 || this.#holds;
  }

  /** Must be called when the connection begins or ceases to hold much that belongs to no stream. */
  setHolds(holds: boolean): void {
    const wasActive = this.isActive;
    this.#holds = holds;
    this.#all.activate(this, wasActive);
  }

  /** See Holder.evict(); 0 until the connection exists. */
  evict(limited: keyof Limited, since: number): number {
    return this.holder?.evict(limited, since) ?? 0;
  }

  evictStalled(since: number): number {
    return this.holder?.evictStalled(since) ?? 0;
  }

  /** Adds bytes to a category; a negative number subtracts them. */
  charge(category: Category, bytes: number): void {
    this.#all.charge(this, category, bytes);
  }

  /** Counts an opened (1) or closed (-1) call or stream. */
  count(limited: 'calls' | 'streams', more: 1 | -1): void {
    this.#all.count(this, limited, more);
  }

  /** True if the account may use `amount` more of a resource; see Accounts.admit(). */
  admits(limited: keyof Limited, amount: number): boolean {
    return this.#all.admit(this, limited, amount);
  }

  /**
   * True if the account may hold more bytes: the limit is not exceeded, or it is exceeded by less than a quarter
   * and this account is within its fair share or receives an admitted message.
   */
  get mayGrow(): boolean {
    if (!this.#all.isExceeded) return true;
    if (this.mustStop) return false;
    return this.#admitted > 0 || !this.#all.isAboveShare(this);
  }

  /** True if the limit is exceeded so far that even completing a call may not add bytes. */
  get mustStop(): boolean {
    if (!this.#all.isFarExceeded) return false;
    return this.#all.isOverfull || this.#all.isAboveShare(this);
  }

  /** Evicts what the account holds above its fair share, while the limit is exceeded as far as mustStop tells. */
  shed(): void {
    this.#all.shed(this);
  }

  /** Bytes that the account may still be charged; negative if it holds too many. */
  get availableBytes(): number {
    return this.#all.availableTo(this);
  }

  /** Caps the bytes that one message may request. */
  capAdmission(bytes: number): number {
    return this.#all.capAdmission(bytes);
  }

  /** Requests admission for a message; see Accounts.requestAdmission(). */
  requestAdmission(
    bytes: number,
    callbacks: AdmissionCallbacks,
  ): AdmissionRequest<Account> | 'granted' | 'refused' {
    return this.#all.requestAdmission(this, bytes, callbacks);
  }

  /** Counts an admitted message whose receipt begins (1) or ends (-1). */
  admit(more: 1 | -1): void {
    this.#admitted += more;
    this.#all.countAdmitted(more);
  }

  /** Reserves bytes for a wider stream window; negative ones release them. Returns false without enough budget. */
  widen(bytes: number): boolean {
    return this.#all.widen(bytes);
  }

  /** Cancels an admission request. */
  cancelAdmission(waiting: AdmissionRequest<Account>): void {
    this.#all.cancelAdmission(waiting);
  }
}

const none = Number.POSITIVE_INFINITY;

interface AccountsOptions extends Partial<Limited> {
  /** The charge of a connection with open streams, in bytes. */
  connectionCost?: number;
  /** The receive window in bytes: what a message may have sent before it is admitted. */
  window?: number;
  /** Runs a task in a later turn of the event loop. */
  later?: (task: () => void) => void;
}

/**
 * Enforces the limits of bytes, calls and streams that all peers of a server share.
 *
 * A peer may use a whole limit while no other peer needs it. Once the limit is reached, a peer below its fair share
 * (limit ÷ active peers) is still admitted, and the call that has gone longest without progress is evicted from the
 * peer with the highest use. The connections of one peer share in the same way. A peer or connection is active
 * while it has open streams, or holds much without any.
 */
export class Accounts {
  readonly used: Limited = { bytes: 0, calls: 0, streams: 0 };
  readonly held: number[] = Object.keys(Held).map(() => 0);
  readonly #limits: Limited;
  readonly #connectionCost: number;
  readonly #later: (task: () => void) => void;
  readonly #peers = new Map<string, Peer>();
  /** The parties of fair sharing: peers with a name, and accounts without a peer. */
  readonly #sharers = new UnorderedSet<Peer | Account>();
  /** The number of sharers that are active. */
  #active = 0;
  readonly #reclaimables = new ReclaimableSet();
  readonly #paused: PausedConnections;
  readonly #admission: Admission<Account>;
  #widened = 0;
  #isServing = false;
  /** The turns of the last two ticks. A call that has not progressed since `#since` is stalled. */
  #lastTurn = -1;
  #since = -1;
  #wasExceeded = false;
  #relieving: Generator<undefined, void> | undefined;

  constructor({
    window = 1,
    connectionCost = 0,
    later = setImmediate,
    ...limits
  }: AccountsOptions = {}) {
    this.#limits = { bytes: none, calls: none, streams: none, ...limits };
    this.#connectionCost = connectionCost;
    this.#later = later;
    this.#paused = new PausedConnections(later);
    this.#admission = new Admission({
      memory: this,
      maxQueued: (this.#limits.bytes * waitingPart) / window,
      wake: () => this.#serveLater(),
    });
  }

  get heldBytes(): HeldBytes {
    const held: Record<string, number> = {};
    for (const [name, at] of Object.entries(Held)) held[name] = this.held[at] ?? 0;
    return held;
  }

  get waitingMessages(): number {
    return this.#admission.size;
  }

  /** True while more bytes are held than the limit. */
  get isExceeded(): boolean {
    return this.used.bytes > this.#limits.bytes;
  }

  get isFarExceeded(): boolean {
    return this.used.bytes > this.#farLimit;
  }

  get isOverfull(): boolean {
    return this.used.bytes > this.#limits.bytes * overfull + this.#admission.overdraft;
  }

  /** The overdraft of an admitted message does not count against other calls. */
  get #farLimit(): number {
    return this.#limits.bytes * far + this.#admission.overdraft;
  }

  /** Counts an admitted message that begins (1) or ends (-1). */
  countAdmitted(more: 1 | -1): void {
    this.#admission.count(more);
  }

  get freeBytes(): number {
    return this.#limits.bytes - this.used.bytes;
  }

  /**
   * Opens an account for a connection. Accounts with the same `peer` share; without one, the account is a peer of
   * its own.
   */
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
      if (this.#reclaimables.size > 0 && this.isExceeded) this.#reclaim();
    } else if (this.#paused.size + this.#admission.size > 0) this.#serveLater();
  }

  count(account: Account, limited: 'calls' | 'streams', more: 1 | -1): void {
    const { peer, isActive } = account;
    this.used[limited] += more;
    account[limited] += more;
    if (peer) peer[limited] += more;
    if (limited === 'streams') {
      const isFirstOrLast = account.streams === (more === 1 ? 1 : 0);
      if (isFirstOrLast) this.charge(account, Held.calls, more * this.#connectionCost);
    }
    this.activate(account, isActive);
  }

  /** Counts a connection that has become active, or is not active any more. */
  activate({ peer, isActive }: Account, wasActive: boolean): void {
    if (isActive === wasActive) return;
    const more = isActive ? 1 : -1;
    if (peer) peer.active += more;
    if (!peer || peer.active === (isActive ? 1 : 0)) this.#active += more;
  }

  availableTo(account: Account): number {
    const used = (account.peer ?? account).bytes;
    return Math.max(this.freeBytes, this.#share('bytes', account) - used);
  }

  widen(bytes: number): boolean {
    if (bytes > 0 && this.#widened + bytes > this.#limits.bytes * widerPart) return false;
    this.#widened += bytes;
    return true;
  }

  /**
   * True if the account may use `amount` more of a resource. Above the limit, an account within its fair share is
   * still admitted: calls of other peers are evicted for it, and bytes may exceed the limit by a quarter meanwhile.
   */
  admit(account: Account, limited: keyof Limited, amount: number): boolean {
    const limit = this.#limits[limited];
    return this.used[limited] + amount <= limit || this.#evictFor(account, limited, amount);
  }

  /** Evicts calls in favour of the account. Returns true if it may use the amount. */
  #evictFor(account: Account, limited: keyof Limited, amount: number): boolean {
    const fits = (limit: number) => this.used[limited] + amount <= limit;
    let victim = this.#victim(account, limited, amount);
    for (let left = evictionsAtOnce; victim && left > 0; left--) {
      if (fits(limited === 'bytes' ? this.#farLimit : this.#limits[limited])) return true;
      if (limited !== 'bytes') victim.evict(limited, this.#since);
      // Calls that make progress end soon, and the amount is small.
      else if (victim.evictStalled(this.#since) <= 0) return true;
      victim = this.#victim(account, limited, amount);
    }
    return fits(this.#limits[limited]);
  }

  shed(account: Account): void {
    for (let left = evictionsAtOnce; left > 0; left--) {
      if (!this.isFarExceeded || !this.isAboveShare(account)) return;
      if (account.evict('bytes', this.#since) <= 0) return;
    }
  }

  capAdmission(bytes: number): number {
    return Math.min(bytes, this.#limits.bytes * maxPart);
  }

  /** Requests admission for a message; see Admission.request(). */
  requestAdmission(
    account: Account,
    bytes: number,
    callbacks: AdmissionCallbacks,
  ): AdmissionRequest<Account> | 'granted' | 'refused' {
    return this.#admission.request(account, bytes, callbacks);
  }

  cancelAdmission(waiting: AdmissionRequest<Account>): void {
    this.#admission.cancel(waiting);
  }

  /** Calls back, once, when the account may grow. */
  onMemoryAvailable(account: Account, resume: () => void): void {
    this.#paused.add(account, resume);
  }

  /** Cancels onMemoryAvailable(). */
  offMemoryAvailable(resume: () => void): void {
    this.#paused.delete(resume);
  }

  /** Registers memory that is freed, once, when the limit is exceeded. */
  offer(spare: Reclaimable): void {
    this.#reclaimables.add(spare);
  }

  /** Closes the account of a connection that holds nothing any more, and unregisters its reclaimable memory. */
  close(account: Account, spare: Reclaimable): void {
    this.#reclaimables.delete(spare);
    const { peer } = account;
    if (!peer) return this.#sharers.delete(account);
    peer.accounts.delete(account);
    if (peer.accounts.size > 0) return;
    this.#peers.delete(peer.name);
    this.#sharers.delete(peer);
  }

  /**
   * Must be called every second with the current turn. It evicts calls if the limit has been exceeded for a second,
   * or if a message has been queued for more than one, stalled calls first.
   */
  tick(turn: number): void {
    this.#since = this.#lastTurn;
    this.#lastTurn = turn;
    this.#admission.tick();
    if (this.#admission.isLate || (this.isExceeded && this.#wasExceeded)) this.#relieve();
    this.#wasExceeded = this.isExceeded;
    // The fair share may have grown.
    this.#paused.resume();
    if (this.#admission.size > 0) this.#serveLater();
  }

  isAboveShare(account: Account): boolean {
    return (account.peer ?? account).bytes > this.#share('bytes', account);
  }

  /** The fair share: the limit divided by the number of active peers, this one included. */
  #share(limited: keyof Limited, { peer, isActive }: Account): number {
    const others = (peer ? peer.active > 0 : isActive) ? this.#active : this.#active + 1;
    return this.#limits[limited] / Math.max(1, others);
  }

  /**
   * Chooses the account whose calls are evicted so that the given account may use `amount` more. The first choice is
   * the peer with the highest use, if it is above its fair share and the given peer would stay within its own. The
   * second is the connection of the same peer with the highest use, if it is above an equal part of what the peer
   * uses and the given connection would stay within that part. Returns undefined if neither applies.
   */
  #victim(account: Account, limited: keyof Limited, amount: number): Account | undefined {
    const { peer } = account;
    const own = peer ?? account;
    const share = this.#share(limited, account);
    if (own[limited] + amount <= share) {
      const top = largest(this.#sharers, limited);
      if (top && top !== own && top[limited] > share) return accountOf(top, limited);
    }
    if (!peer) return undefined;
    const part = peer[limited] / Math.max(1, account.isActive ? peer.active : peer.active + 1);
    if (account[limited] + amount > part) return undefined;
    const top = largest(peer.accounts, limited);
    return top && top !== account && top[limited] > part ? top : undefined;
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

  /** Evicts stalled calls first, and then other calls of peers above their fair share. */
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

  /**
   * Evicts calls in progress for a late message that is within its peer's fair share, unless only one admitted
   * message is being received.
   */
  *#evictionsForWaiting(): Generator<undefined, void> {
    const admission = this.#admission;
    for (let { next } = admission; next; { next } = admission) {
      if (!admission.isLate || next.bytes <= this.freeBytes || admission.admitted === 1) return;
      const victim = this.#victim(next.account, 'bytes', next.bytes);
      const gone = victim && (victim.evict('bytes', this.#since) || victim.evict('bytes', none));
      if (!gone) return;
      yield;
    }
  }

  /** True if the limit is exceeded, or if the next queued message does not fit. */
  #isShort(): boolean {
    const { next } = this.#admission;
    return next ? next.bytes > this.freeBytes : this.isExceeded;
  }

  #accounts(): Account[] {
    return this.#sharers
      .all()
      .flatMap((sharer) => (sharer instanceof Account ? [sharer] : sharer.accounts.all()));
  }

  /** Frees more than needed, so that the set is not searched again at every charge. */
  #reclaim(): void {
    const enough = this.#limits.bytes * (1 - reclaimedPart);
    this.#reclaimables.dropUntil(() => this.used.bytes <= enough);
  }

  #serveLater(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    this.#later(this.#serve);
  }

  readonly #serve = (): void => {
    this.#isServing = false;
    this.#admission.serve();
    if (!this.isExceeded) this.#paused.resume();
  };
}

/** Sorts by the bytes of the peer, then of the account, highest first. */
function byUse(a: Account, b: Account): number {
  return (b.peer ?? b).bytes - (a.peer ?? a).bytes || b.bytes - a.bytes;
}

function accountOf(sharer: Peer | Account, limited: keyof Limited): Account | undefined {
  return sharer instanceof Account ? sharer : largest(sharer.accounts, limited);
}
