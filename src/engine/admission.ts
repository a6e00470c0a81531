import { queueTimeout } from './parts_of_limits.ts';

/** Smaller messages, in bytes, are read without admission. */
const maxUnadmitted = 64 * 1024;

/** True if a message of so many bytes must be admitted before it is read. */
export function isLarge(length: number): boolean {
  return length > maxUnadmitted;
}

/**
 * The memory that a message takes, as a multiple of its size: as received, as decoded, and as encoded again in a
 * response.
 */
export const timesOfMessage = 3;

/** Callbacks of an admission request. Exactly one of them is called, once. */
export interface AdmissionCallbacks {
  granted: () => void;
  refused: () => void;
}

/** A queued request for memory. */
export interface AdmissionRequest<Account> extends AdmissionCallbacks {
  readonly account: Account;
  readonly bytes: number;
  /** The tick at which it was queued; ticks are one second apart. */
  readonly since: number;
}

/** The part of an account that admission needs: its bytes, and those of its peer. */
interface AdmissionAccount {
  readonly bytes: number;
  readonly peer: { readonly bytes: number } | undefined;
}

/** The minimum capacity of the queue, whatever the memory limit is. */
const fewest = 4;

/** The memory of a server. */
interface Memory {
  /** Negative above the limit. */
  readonly freeBytes: number;
  readonly isFarExceeded: boolean;
}

interface AdmissionDeps {
  memory: Memory;
  /** The maximum number of queued requests. */
  maxQueued: number;
  /** Must lead to a call of serve(). */
  wake: () => void;
}

/** Admits messages of all accounts of a server as far as there is free memory, and queues the others. */
export class Admission<Account extends AdmissionAccount> {
  /** The number of admitted messages that are being received. */
  admitted = 0;
  /** Bytes granted to one message beyond the limit. */
  overdraft = 0;
  readonly #queue: AdmissionQueue<Account>;
  readonly #memory: Memory;
  readonly #wake: () => void;
  #tick = 0;

  constructor({ memory, maxQueued, wake }: AdmissionDeps) {
    this.#queue = new AdmissionQueue(maxQueued);
    this.#memory = memory;
    this.#wake = wake;
  }

  /** The number of queued requests. */
  get size(): number {
    return this.#queue.size;
  }

  /** The request to admit next; see AdmissionQueue. */
  get next(): AdmissionRequest<Account> | undefined {
    return this.#queue.next;
  }

  /** True if the oldest request has been queued for more than one second. */
  get isLate(): boolean {
    const { first } = this.#queue;
    return first !== undefined && this.#tick - first.since > 1;
  }

  /** Counts an admitted message that begins (1) or ends (-1). */
  count(more: 1 | -1): void {
    this.admitted += more;
    if (this.admitted === 0) this.overdraft = 0;
  }

  /**
   * Requests admission for a message. If there is too little free memory, the request is queued, sorted by the
   * bytes that peers hold; a smaller message may still be admitted before it. If the queue is full, a request of
   * the peer with the most queued requests is refused.
   */
  request(
    account: Account,
    bytes: number,
    callbacks: AdmissionCallbacks,
  ): AdmissionRequest<Account> | 'granted' | 'refused' {
    if (this.#fitsBeside(bytes)) return 'granted';
    const waiting = this.#queue.add({ ...callbacks, account, bytes, since: this.#tick });
    if (waiting) this.#wake();
    return waiting ?? 'refused';
  }

  cancel(waiting: AdmissionRequest<Account>): void {
    this.#queue.delete(waiting);
  }

  /** Must be called every second. It refuses requests that have been queued for too long. */
  tick(): void {
    this.#tick++;
    this.#queue.expire(this.#tick - queueTimeout);
  }

  /** Admits what fits now. */
  serve(): void {
    const [next, ...others] = this.#queue.inOrder();
    if (next) this.#serveNext(next);
    for (const waiting of others) if (this.#fitsBeside(waiting.bytes)) this.#grant(waiting);
  }

  #serveNext(next: AdmissionRequest<Account>): void {
    const { freeBytes, isFarExceeded } = this.#memory;
    // One message at a time is admitted beyond the limit, so that there is always progress.
    if (next.bytes <= freeBytes) this.#grant(next);
    else if (this.admitted === 0 && !isFarExceeded) {
      this.overdraft = next.bytes - Math.max(0, freeBytes);
      this.#grant(next);
    }
  }

  #grant(waiting: AdmissionRequest<Account>): void {
    this.#queue.delete(waiting);
    waiting.granted();
    if (this.#queue.size > 0) this.#wake();
  }

  /**
   * Prevents starvation: once the oldest queued request is late, new messages may take only half of the free bytes.
   */
  #fitsBeside(bytes: number): boolean {
    const { freeBytes } = this.#memory;
    return bytes <= (this.isLate ? freeBytes / 2 : freeBytes);
  }
}

/** The queue of admission requests of all accounts of a server. */
class AdmissionQueue<Account extends AdmissionAccount> {
  readonly #waiting = new Set<AdmissionRequest<Account>>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = Math.max(fewest, most);
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** The oldest request. */
  get first(): AdmissionRequest<Account> | undefined {
    for (const waiting of this.#waiting) return waiting;
    return undefined;
  }

  /** The request to admit next: the oldest one of the peer that holds the fewest bytes. */
  get next(): AdmissionRequest<Account> | undefined {
    let next: AdmissionRequest<Account> | undefined;
    for (const waiting of this.#waiting) {
      if (!next || sharerOf(waiting).bytes < sharerOf(next).bytes) next = waiting;
    }
    return next;
  }

  /** All requests, sorted by the bytes that their peers hold, then by age. */
  inOrder(): AdmissionRequest<Account>[] {
    return [...this.#waiting].toSorted((a, b) => sharerOf(a).bytes - sharerOf(b).bytes);
  }

  /**
   * Queues a request. When the queue is full, it refuses the newest request of the peer with the most queued
   * requests; returns undefined if that is the given one.
   */
  add(waiting: AdmissionRequest<Account>): AdmissionRequest<Account> | undefined {
    if (this.#waiting.size >= this.#most && !this.#refuseFor(waiting)) return undefined;
    this.#waiting.add(waiting);
    return waiting;
  }

  delete(waiting: AdmissionRequest<Account>): void {
    this.#waiting.delete(waiting);
  }

  /** Refuses every request that was queued at or before this tick. */
  expire(since: number): void {
    for (const waiting of this.#waiting) {
      if (waiting.since > since) return;
      this.#waiting.delete(waiting);
      waiting.refused();
    }
  }

  #refuseFor(other: AdmissionRequest<Account>): boolean {
    const counts = new Map<object, number>();
    let last: AdmissionRequest<Account> | undefined;
    let most = 0;
    for (const waiting of this.#waiting) {
      const count = (counts.get(sharerOf(waiting)) ?? 0) + 1;
      counts.set(sharerOf(waiting), count);
      if (count < most) continue;
      most = count;
      last = waiting;
    }
    if (!last || most <= (counts.get(sharerOf(other)) ?? 0) + 1) return false;
    this.#waiting.delete(last);
    last.refused();
    return true;
  }
}

function sharerOf<Account extends AdmissionAccount>({
  account,
}: AdmissionRequest<Account>): { bytes: number } {
  return account.peer ?? account;
}

/** Memory that only saves time, such as a cache or a spare buffer, and can be freed at any time. */
export interface Reclaimable {
  /** True while nothing uses it. */
  readonly isIdle: boolean;
  /** Frees the memory and releases its charge from the account. */
  drop(): void;
}

/** The reclaimable memory of all connections of a server. */
export class ReclaimableSet {
  readonly #reclaimables = new Set<Reclaimable>();

  get size(): number {
    return this.#reclaimables.size;
  }

  /** Registers memory that is freed, once, when the limit is exceeded. */
  add(spare: Reclaimable): void {
    this.#reclaimables.add(spare);
  }

  delete(spare: Reclaimable): void {
    this.#reclaimables.delete(spare);
  }

  /** Frees memory until `isEnough` returns true, idle memory first. */
  dropUntil(isEnough: () => boolean): void {
    for (const idleOnly of [true, false]) {
      for (const spare of this.#reclaimables) {
        if (isEnough()) return;
        if (idleOnly && !spare.isIdle) continue;
        this.#reclaimables.delete(spare);
        spare.drop();
      }
    }
  }
}
