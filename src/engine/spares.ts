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
