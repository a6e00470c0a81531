/**
 * The time of a server from when it begins to listen until it has shut down, or could listen nowhere. As
 * in nice-grpc, it can be told of services before and after, not meanwhile.
 */
export class Run {
  #state: 'listening' | 'shutting down' | 'over' = 'listening';
  /** That it listens on, or is about to. */
  #addresses = 0;
  readonly #onEnd: () => void;

  constructor(onEnd: () => void = () => {}) {
    this.#onEnd = onEnd;
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  /**
   * Listens on one more address. What has begun to listen when the server has shut down is closed. Throws
   * then, and what `listen` throws.
   */
  async listen<T>(listen: () => Promise<T>, close: () => void): Promise<T> {
    if (this.#state !== 'listening') throw new Error(isShuttingDown);
    this.#addresses++;
    try {
      const bound = await listen();
      // It may have shut down meanwhile, which the compiler cannot know.
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

/** Throws for a service that comes when the server listens. */
export function checkAdd(run: Run | undefined): void {
  if (run && !run.isOver) throw new Error('Cannot add a service: add() must come before listen()');
}

/** Throws for middleware that come when the server listens, or has services. */
export function checkUse(run: Run | undefined, services: readonly unknown[]): void {
  if (run && !run.isOver) throw new Error('Cannot use middleware: use() must come before listen()');
  if (services.length > 0) throw new Error('Cannot use middleware: use() must come before add()');
}
