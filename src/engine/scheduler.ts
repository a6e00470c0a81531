/**
 * Shares the event loop between connections: deficit round robin (Shreedhar and Varghese, 1995), with new
 * flows first as in FQ-CoDel (RFC 8290 section 4.2). A turn is one round of the event loop. In each, a
 * connection may do so much work; what is left waits, and others have their part before it goes on.
 *
 * Work is counted in units of some quarter of a microsecond, never timed: the same input does the same work.
 */

/** What a connection may do in a turn, at most. */
const mostQuantum = 4000;
/** The same where many wait: less would be hardly a call. */
const leastQuantum = 100;
/** What all that wait may do in a turn, and again what all others may. */
const longHalf = 16_000;
/**
 * The same while connections come: Node accepts one in each turn and on each address (libuv 1.46), so that a
 * client waits as many turns to be accepted as others came before it.
 */
const shortHalf = longHalf / 8;
/** In halves: when all have done so much in a turn, nobody begins what may be large. */
const fullTurn = 2;
/** When they have done so much, what has begun does not go on, either. */
const overfullTurn = 3 * fullTurn;

/** What work costs, in units. */
export const cost = {
  /** Any frame that comes. */
  frame: 1,
  /** A stream that is opened, and what serves it. */
  stream: 50,
  /** A call that takes or gives more than one message: generators and promises that go on from each to the next. */
  streaming: 50,
  /** A stream that is refused, or ends before its time. */
  reset: 20,
  /** A message of a request. */
  request: 5,
  /** One of a response, on its way through the middleware. */
  response: 15,
  /** A call that does not end well: what was thrown has a stack. */
  failure: 150,
  /** A message that is compressed or was: whatever does that is made for it. */
  coding: 150,
} as const;

/** What so many bytes of header lists cost, which are looked at one by one. */
export function headerWork(bytes: number): number {
  return bytes >> 6;
}

/** What so many bytes cost that are copied: out of the system, into a message, out of it, into a response. */
export function copyWork(bytes: number): number {
  return bytes >> 8;
}

/** One connection's part of the work. */
export interface Flow {
  /** Which turn it is. */
  readonly turn: number;
  /** Counts work that has been done. */
  spend(work: number): void;
  /** Whether what is left to do had better wait(). */
  readonly isSpent: boolean;
  /**
   * Whether all connections have done so much in this turn that a message, which may take far longer than a quota,
   * had better wait(): so there is one such step in a turn, however many connections have some.
   */
  readonly isTurnFull: boolean;
  /** Whether it is so much more that even what has begun had better wait. */
  readonly isTurnOverfull: boolean;
  /** Runs a task in a later turn, when this flow has its part again. */
  wait(task: () => void): void;
  /** Says how many bytes of input wait for that. */
  putOff(bytes: number): void;
  /** Whether no more of them may. */
  readonly isCrowded: boolean;
}

/** A flow that never has to wait. */
export const unbounded: Flow = {
  turn: 0,
  spend() {},
  isSpent: false,
  isTurnFull: false,
  isTurnOverfull: false,
  wait: (task) => void setImmediate(task),
  putOff() {},
  isCrowded: false,
};

/**
 * Does some work when a flow may go on: at once, if neither it nor the turn has done its part. It is done by the task
 * that waits, not after it: the next one would begin before this one's work counted.
 */
export function inTurn<T>(flow: Flow, work: () => T): T | Promise<T> {
  return flow.isSpent || flow.isTurnFull ? inLaterTurn(flow, work) : work();
}

/** Does some work when a flow has its part again. */
export function inLaterTurn<T>(flow: Flow, work: () => T | Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    flow.wait(() => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** The work of all connections of a server. */
export class Scheduler {
  /** Which turn it is. */
  turn = 1;
  /** What flows that do not wait have left in this turn. */
  fresh = longHalf;
  /** What has been done in it, by all. */
  done = 0;
  /** Bytes of input that wait. */
  putOff = 0;
  #atEnd: (() => void)[] = [];
  /** Swapped with those, so that a turn makes no array. */
  #ending: (() => void)[] = [];
  readonly #waiting: WaitingFlow[] = [];
  readonly #mostPutOff: number;
  readonly #later: (task: () => void) => unknown;
  #isScheduled = false;
  #half = longHalf;
  /** The last turn that is a short one. */
  #shortUntil = 0;

  /**
   * Of more than `mostPutOff` bytes of input that wait, none are put off: the sockets wait for us instead.
   * `later` runs a task in the next turn of the event loop.
   */
  constructor(mostPutOff: number, later: (task: () => void) => unknown = setImmediate) {
    this.#mostPutOff = mostPutOff;
    this.#later = later;
  }

  get isCrowded(): boolean {
    return this.putOff > this.#mostPutOff;
  }

  /** Whether all connections have done so much in this turn; see Flow. */
  get isTurnFull(): boolean {
    return this.done >= fullTurn * this.#half;
  }

  get isTurnOverfull(): boolean {
    return this.done >= overfullTurn * this.#half;
  }

  /** A connection was accepted: others may wait for that, so the next turn is a short one. */
  accepted(): void {
    this.#shortUntil = this.turn + 1;
  }

  /** A flow of its own for one connection. */
  createFlow(): Flow {
    return new WaitingFlow(this);
  }

  /**
   * Runs a task at the end of this turn, when every socket that had something has been read: what a
   * connection produces meanwhile leaves in one write. One task of the event loop serves all connections.
   */
  atEnd(task: () => void): void {
    this.#atEnd.push(task);
    this.schedule();
  }

  /** There is work to share out in the next turn, or at least one to begin. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#later(this.#run);
  }

  enqueue(flow: WaitingFlow): void {
    this.#waiting.push(flow);
    this.schedule();
  }

  readonly #run = (): void => {
    this.#isScheduled = false;
    this.#endTurn();
    this.turn++;
    this.#half = this.turn <= this.#shortUntil ? shortHalf : longHalf;
    this.fresh = this.#half;
    this.done = 0;
    this.#shareOut();
    if (this.#waiting.length > 0) this.schedule();
  };

  #endTurn(): void {
    const tasks = this.#atEnd;
    this.#atEnd = this.#ending;
    this.#ending = tasks;
    for (const task of tasks) guard(task);
    tasks.length = 0;
  }

  #shareOut(): void {
    const waiting = this.#waiting;
    const quantum = Math.floor(this.#half / Math.max(1, waiting.length));
    const granted = Math.min(mostQuantum, Math.max(leastQuantum, quantum));
    for (let left = this.#half; left > 0;) {
      const flow = waiting.shift();
      if (!flow) return;
      // Whoever has done more than its part lately has less of this round, or none.
      if (flow.grant(granted)) {
        const done = flow.run();
        // What its tasks have begun may go on when they have returned.
        left -= Math.max(granted, done);
      }
      if (flow.hasTasks) waiting.push(flow);
    }
  }
}

class WaitingFlow implements Flow {
  readonly #scheduler: Scheduler;
  readonly #tasks: (() => void)[] = [];
  #turn = 0;
  /** What it may do in that turn; below zero when it did more. */
  #left = 0;
  /** Whether that was granted to it, and does not come out of what others have. */
  #isGranted = false;
  #isRunning = false;
  #putOff = 0;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  get turn(): number {
    return this.#scheduler.turn;
  }

  get hasTasks(): boolean {
    return this.#tasks.length > 0;
  }

  spend(work: number): void {
    this.#renew();
    this.#left -= work;
    this.#scheduler.done += work;
    if (!this.#isGranted) this.#scheduler.fresh -= work;
    this.#scheduler.schedule();
  }

  get isSpent(): boolean {
    this.#renew();
    if (this.#left <= 0) return true;
    // Who waits already is not to overtake itself.
    return !this.#isGranted && (this.#scheduler.fresh <= 0 || this.#tasks.length > 0);
  }

  get isTurnFull(): boolean {
    return this.#scheduler.isTurnFull;
  }

  get isTurnOverfull(): boolean {
    return this.#scheduler.isTurnOverfull;
  }

  get isCrowded(): boolean {
    return this.#scheduler.isCrowded;
  }

  putOff(bytes: number): void {
    this.#scheduler.putOff += bytes - this.#putOff;
    this.#putOff = bytes;
  }

  wait(task: () => void): void {
    const isFirst = this.#tasks.push(task) === 1;
    if (isFirst && !this.#isRunning) this.#scheduler.enqueue(this);
  }

  /** Whether it may do something in this round, with so much more. */
  grant(quantum: number): boolean {
    this.#left = Math.min(quantum, this.#left + quantum);
    this.#turn = this.#scheduler.turn;
    this.#isGranted = true;
    return this.#left > 0;
  }

  /** Runs what waits, as far as that goes; gives the work that was done. */
  run(): number {
    const before = this.#left;
    this.#isRunning = true;
    // What waits again meanwhile is for the next time.
    for (let count = this.#tasks.length; count > 0 && this.#left > 0; count--) {
      const task = this.#tasks.shift();
      if (task) guard(task);
    }
    this.#isRunning = false;
    return before - this.#left;
  }

  /** Each turn that has passed has given it its part. */
  #renew(): void {
    const { turn } = this.#scheduler;
    if (turn === this.#turn) return;
    this.#left = Math.min(mostQuantum, this.#left + (turn - this.#turn) * mostQuantum);
    this.#turn = turn;
    this.#isGranted = false;
  }
}

/** A fault of ours in one connection is no reason to forget the others. */
function guard(task: () => void): void {
  try {
    task();
  } catch (error) {
    setImmediate(() => {
      throw error;
    });
  }
}
