/**
 * One period of listening, until shutdown or until no address could be opened. As in nice-grpc, services can be added
 * before and after it, but not during it.
 */
export class Run {
  #state: 'listening' | 'shutting down' | 'over' = 'listening';
  /** Addresses that are open or being opened. */
  #addresses = 0;
  readonly #onEnd: () => void;

  constructor(onEnd: () => void = () => {}) {
    this.#onEnd = onEnd;
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  /**
   * Listens on one more address. If the server shuts down meanwhile, the address is closed and this throws. It also
   * throws what `listen` throws.
   */
  async listen<T>(listen: () => Promise<T>, close: () => void): Promise<T> {
    if (this.#state !== 'listening') throw new Error(isShuttingDown);
    this.#addresses++;
    try {
      const bound = await listen();
      // A call, as the compiler cannot know that the state may have changed during the await.
      if (this.#isShuttingDown()) {
        close();
        throw new Error(isShuttingDown);
      }
      return bound;
    } catch (error) {
      this.#addresses--;
      if (this.#addresses === 0) this.end();
      throw error;
    }
  }

  shutDown(): void {
    this.#state = 'shutting down';
  }

  end(): void {
    this.#state = 'over';
    this.#onEnd();
  }

  #isShuttingDown(): boolean {
    return this.#state !== 'listening';
  }
}

const isShuttingDown = 'Cannot listen: the server is shutting down';

/** Throws if a service is added while the server listens. */
export function checkAdd(run: Run | undefined): void {
  if (run && !run.isOver) throw new Error('Cannot add a service: add() must come before listen()');
}

/** Throws if middleware are added while the server listens, or after services. */
export function checkUse(run: Run | undefined, services: readonly unknown[]): void {
  if (run && !run.isOver) throw new Error('Cannot use middleware: use() must come before listen()');
  if (services.length > 0) throw new Error('Cannot use middleware: use() must come before add()');
}
