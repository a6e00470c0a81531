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

/** The queue of admission requests of all accounts of a server. */
export class AdmissionQueue<Account extends AdmissionAccount> {
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
