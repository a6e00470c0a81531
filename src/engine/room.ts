/** Told what becomes of what waits for room: one of the two, once. */
export interface Wish {
  granted: () => void;
  refused: () => void;
}

/** Something that waits for so many bytes. */
export interface Waiting<Account> extends Wish {
  readonly account: Account;
  readonly bytes: number;
  /** The second since when it waits. */
  readonly since: number;
}

/** Whose it is, and how much that one has. */
interface Sharing {
  readonly bytes: number;
  readonly peer: { readonly bytes: number } | undefined;
}

/** The fewest that may wait, whatever room there is. */
const fewest = 4;

/** What waits for room, of all accounts of a server. */
export class WaitingLine<Account extends Sharing> {
  readonly #waiting = new Set<Waiting<Account>>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = Math.max(fewest, most);
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** What has waited longest. */
  get first(): Waiting<Account> | undefined {
    for (const waiting of this.#waiting) return waiting;
    return undefined;
  }

  /** What is next: of the peer that has least, the first that came. */
  get next(): Waiting<Account> | undefined {
    let next: Waiting<Account> | undefined;
    for (const waiting of this.#waiting) {
      if (!next || sharerOf(waiting).bytes < sharerOf(next).bytes) next = waiting;
    }
    return next;
  }

  /** All of it, those of the peer that has least first, and of one peer as they came. */
  inOrder(): Waiting<Account>[] {
    return [...this.#waiting].toSorted((a, b) => sharerOf(a).bytes - sharerOf(b).bytes);
  }

  /** Has one more wait. Where too many do, one of the peer that has most of them is refused: undefined if it is this. */
  enter(waiting: Waiting<Account>): Waiting<Account> | undefined {
    if (this.#waiting.size >= this.#most && !this.#refuseFor(waiting)) return undefined;
    this.#waiting.add(waiting);
    return waiting;
  }

  leave(waiting: Waiting<Account>): void {
    this.#waiting.delete(waiting);
  }

  /** Refuses what has waited since that second, or longer. */
  expire(since: number): void {
    for (const waiting of this.#waiting) {
      if (waiting.since > since) return;
      this.#waiting.delete(waiting);
      waiting.refused();
    }
  }

  #refuseFor(other: Waiting<Account>): boolean {
    const counts = new Map<object, number>();
    let last: Waiting<Account> | undefined;
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

function sharerOf<Account extends Sharing>({ account }: Waiting<Account>): { bytes: number } {
  return account.peer ?? account;
}

/** What somebody keeps for speed alone. */
export interface Spare {
  /** Whether it serves nobody now. */
  readonly isIdle: boolean;
  /** Frees it, and tells its account of the bytes that have gone. */
  drop(): void;
}

/** What all connections of a server keep for speed alone. */
export class Spares {
  readonly #spares = new Set<Spare>();

  get size(): number {
    return this.#spares.size;
  }

  /** Has something dropped, once, where there is no room for what is of use. */
  add(spare: Spare): void {
    this.#spares.add(spare);
  }

  delete(spare: Spare): void {
    this.#spares.delete(spare);
  }

  /** Drops some until that is enough, the idle ones first. */
  dropUntil(isEnough: () => boolean): void {
    for (const idleOnly of [true, false]) {
      for (const spare of this.#spares) {
        if (isEnough()) return;
        if (idleOnly && !spare.isIdle) continue;
        this.#spares.delete(spare);
        spare.drop();
      }
    }
  }
}
