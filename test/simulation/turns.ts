import { type Flow, Scheduler } from '../../src/engine/scheduler.ts';

/** The work of a connection in the current turn, in units of scheduler.ts. */
export interface Work {
  turn: number;
  done: number;
  /** The largest step. */
  largest: number;
  /** The work that started above the quota. */
  late: number;
  /** True if the quota was that of a queued flow. */
  hasWaited: boolean;
  /** The turns that it was queued, or since its last quota. */
  waited: number;
  /** The deficit when that started, which later quotas pay. */
  debt: number;
}

/** The turns of a server, which the test runs; all work is counted. */
export interface Turns {
  scheduler: Scheduler;
  /** True if there is work for another turn. */
  readonly isPending: boolean;
  /** Runs the next turn, if there is one. */
  run(): void;
  /** The work of this turn, by connection. */
  works(): readonly Work[];
  /** The number of connections so far. */
  readonly connections: number;
}

export function createTurns(): Turns {
  let next: (() => void) | undefined;
  const scheduler = new MeteredScheduler((task) => (next = task));
  return {
    scheduler,
    get isPending() {
      return next !== undefined;
    },
    run() {
      const task = next;
      next = undefined;
      task?.();
    },
    get connections() {
      return scheduler.works.length;
    },
    works: () => scheduler.works.filter(({ turn }) => turn === scheduler.turn),
  };
}

/** A scheduler that records its work. */
export class MeteredScheduler extends Scheduler {
  /** The work of all connections, closed ones included. */
  works: Work[] = [];
  /** The total so far. */
  total = 0;
  /** Called with the work of a turn, once a later turn has some. */
  onTurn: ((works: readonly Work[]) => void) | undefined;
  #entered = 0;

  override createFlow(): Flow {
    const work: Work = { turn: 0, ...none };
    this.works.push(work);
    return new Meter(this, super.createFlow(), work);
  }

  /** Called before work of the current turn. */
  enter(): void {
    if (this.turn === this.#entered) return;
    this.endTurn();
    this.#entered = this.turn;
  }

  /** Reports the last turn with work. */
  endTurn(): void {
    const before = this.#entered;
    this.onTurn?.(this.works.filter(({ turn }) => turn === before));
  }
}

/** A flow that records its work. */
class Meter implements Flow {
  readonly #scheduler: MeteredScheduler;
  readonly #flow: Flow;
  readonly #work: Work;
  #waiting = 0;
  /** The turn in which it had quota, or was queued. */
  #since = 0;
  /** The maximum of the work above its quota since then. */
  #debt = 0;

  constructor(scheduler: MeteredScheduler, flow: Flow, work: Work) {
    this.#scheduler = scheduler;
    this.#flow = flow;
    this.#work = work;
  }

  spend(units: number): void {
    const work = this.#thisTurn();
    this.#scheduler.total += units;
    if (this.#flow.isSpent) work.late += units;
    work.done += units;
    work.largest = Math.max(work.largest, units);
    this.#flow.spend(units);
    if (this.#flow.isSpent) this.#debt += units;
  }

  get turn(): number {
    return this.#flow.turn;
  }

  get isSpent(): boolean {
    return this.#flow.isSpent;
  }

  get isTurnFull(): boolean {
    return this.#flow.isTurnFull;
  }

  get isTurnOverfull(): boolean {
    return this.#flow.isTurnOverfull;
  }

  wait(task: () => void): void {
    if (this.#waiting++ === 0) this.#since = this.#scheduler.turn;
    this.#flow.wait(() => {
      this.#waiting--;
      const work = this.#thisTurn();
      work.hasWaited = true;
      const waited = work.turn - this.#since;
      if (waited > work.waited) Object.assign(work, { waited, debt: this.#debt });
      if (waited > 0) this.#debt = 0;
      this.#since = work.turn;
      task();
    });
  }

  #thisTurn(): Work {
    const { turn } = this.#scheduler;
    this.#scheduler.enter();
    if (this.#work.turn !== turn) Object.assign(this.#work, { turn, ...none });
    return this.#work;
  }
}

const none = {
  done: 0,
  largest: 0,
  late: 0,
  hasWaited: false,
  waited: 0,
  debt: 0,
};
