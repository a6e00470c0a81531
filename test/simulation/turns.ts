import { type Flow, Scheduler } from '../../src/engine/scheduler.ts';

/** What one connection has done in the turn at hand, in units of scheduler.ts. */
export interface Work {
  turn: number;
  done: number;
  /** The most of it that was done in one go. */
  largest: number;
  /** What of that was begun when it had done its part. */
  late: number;
  /** Whether that was its part as one of those that have waited. */
  hasWaited: boolean;
  /** How many turns it had waited for that, or since it had its part before. */
  waited: number;
  /** What it had done beyond its part when that began: it is taken from the parts that follow. */
  debt: number;
  /** Whether input was dealt with all the same, as there was too much of it to wait. */
  wasCrowded: boolean;
}

/** The turns of a server: each comes when it is asked for, and all work is counted. */
export interface Turns {
  scheduler: Scheduler;
  /** Whether there is anything to do in another turn. */
  readonly isPending: boolean;
  /** Has the next turn come, if there is one. */
  run(): void;
  /** Of this turn, for each connection that has done anything in it. */
  works(): readonly Work[];
  /** How many connections there have been. */
  readonly connections: number;
}

/** Of more than `maxDeferredInput` bytes of input that wait, none are put off. */
export function createTurns(maxDeferredInput: number): Turns {
  let next: (() => void) | undefined;
  const scheduler = new MeteredScheduler(maxDeferredInput, (task) => (next = task));
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

/** A scheduler whose work is counted. */
export class MeteredScheduler extends Scheduler {
  /** Of all connections, those that are gone too. */
  works: Work[] = [];
  /** All that has been done so far. */
  total = 0;
  /** Told what was done in a turn, once anything is done in a later one. */
  onTurn: ((works: readonly Work[]) => void) | undefined;
  #entered = 0;

  override createFlow(): Flow {
    const work: Work = { turn: 0, ...none };
    this.works.push(work);
    return new Meter(this, super.createFlow(), work);
  }

  /** Something is about to be done in the turn at hand. */
  enter(): void {
    if (this.turn === this.#entered) return;
    this.endTurn();
    this.#entered = this.turn;
  }

  /** Tells of the last turn in which anything was done. */
  endTurn(): void {
    const before = this.#entered;
    this.onTurn?.(this.works.filter(({ turn }) => turn === before));
  }
}

/** A flow whose work is counted. */
class Meter implements Flow {
  readonly #scheduler: MeteredScheduler;
  readonly #flow: Flow;
  readonly #work: Work;
  #waiting = 0;
  /** When it had its part, or began to wait for one. */
  #since = 0;
  /** What has gone beyond its part since then, at most. */
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
    if (this.#flow.isInputFull) work.wasCrowded = true;
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

  deferInput(bytes: number): void {
    this.#flow.deferInput(bytes);
  }

  get isInputFull(): boolean {
    return this.#flow.isInputFull;
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
  wasCrowded: false,
};
