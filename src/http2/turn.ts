/**
 * Puts work off until the event loop has read from every socket that had something: what a connection
 * produces meanwhile leaves in one write. One `setImmediate` serves all connections.
 */
export class Turn {
  #tasks: (() => void)[] = [];
  /** Swapped with the tasks, so that a turn makes no array. */
  #running: (() => void)[] = [];

  /** Runs a task at the end of this turn. */
  later(task: () => void): void {
    if (this.#tasks.push(task) === 1) setImmediate(this.#run);
  }

  readonly #run = (): void => {
    const tasks = this.#tasks;
    this.#tasks = this.#running;
    this.#running = tasks;
    for (const task of tasks) {
      try {
        task();
      } catch (error) {
        // A fault of ours in one connection is no reason to forget the others.
        setImmediate(() => {
          throw error;
        });
      }
    }
    tasks.length = 0;
  };
}
