/** The maximum number of connections that are resumed in one turn: each may receive a chunk in the next one. */
const resumedAtOnce = 32;

/** An account, which limits what a connection holds. */
interface Growing {
  /** True if the connection may hold more bytes. */
  readonly mayGrow: boolean;
}

/** Connections that are not read from until their accounts may grow, longest paused first. */
export class PausedConnections {
  readonly #resumes = new Map<() => void, Growing>();
  readonly #later: (task: () => void) => void;
  #isResuming = false;

  /** `later` runs a task in a later turn of the event loop. */
  constructor(later: (task: () => void) => void) {
    this.#later = later;
  }

  get size(): number {
    return this.#resumes.size;
  }

  /** Adds a connection; `resume` is called once. */
  add(account: Growing, resume: () => void): void {
    this.#resumes.set(resume, account);
  }

  delete(resume: () => void): void {
    this.#resumes.delete(resume);
  }

  /** Resumes connections whose accounts may grow, a few in each turn. */
  resume(): void {
    if (!this.#isResuming) this.#resumeSome();
  }

  readonly #resumeSome = (): void => {
    this.#isResuming = false;
    let left = resumedAtOnce;
    for (const [resume, account] of this.#resumes) {
      if (!account.mayGrow) continue;
      if (left-- === 0) {
        this.#isResuming = true;
        return this.#later(this.#resumeSome);
      }
      this.#resumes.delete(resume);
      resume();
    }
  };
}
