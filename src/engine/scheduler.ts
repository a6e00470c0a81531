/**
 * Shares the event loop between connections with deficit round robin (Shreedhar and Varghese, 1995), new flows
 * first as in FQ-CoDel (RFC 8290 section 4.2). A turn is one iteration of the event loop. A connection has a quota
 * of work in each turn; the rest of its work is deferred until the other connections have had their quota.
 *
 * Work is counted in units of about a quarter of a microsecond, never timed, so the same input always costs the
 * same.
 */

/** The maximum quota of a flow in a turn. */
const maxQuantum = 4000;
/** The minimum quota of a queued flow when many are queued: less would not serve a call. */
const minQuantum = 100;
/** The work that all queued flows may do in a turn, and separately the work that all other flows may do. */
const turnShare = 16_000;
/**
 * The same while connections come: Node accepts one connection in each turn and on each address (libuv since 1.46),
 * so a client waits as many turns to be accepted as there are connections before its own.
 */
const shortTurnShare = turnShare / 8;
/** The same after this many short turns in a row: a whole backlog waits. */
const shortestTurnShare = turnShare / 32;
const maxShortTurns = 16;
/** The work in a turn, in shares, after which no message is decoded or encoded that may be large. */
const fullTurn = 2;
/** The work in a turn, in shares, after which even work in progress is deferred. */
const overfullTurn = 3 * fullTurn;

/** The cost of each kind of work, in units. */
export const cost = {
  /** Receiving a chunk of input, however small. */
  chunk: 4,
  /** Receiving any frame. */
  frame: 1,
  /** Opening a stream, with the call that it carries. */
  stream: 50,
  /** Handing a connection over to node:http, which creates a parser. */
  http1Connection: 400,
  /** A call with more than one request or response: generators and promises resume for each message. */
  streaming: 50,
  /** Refusing a stream, or ending it with RST_STREAM. */
  reset: 20,
  /** Receiving a request message. */
  request: 5,
  /** Passing a response message through the middleware. */
  response: 15,
  /** A call that fails: the error that was thrown captures a stack. */
  failure: 150,
  /** Compressing or decompressing a message: a zlib stream is created for each. */
  coding: 150,
} as const;

/** The cost of a header list of so many bytes, each of which is examined. */
export function headerWork(bytes: number): number {
  return bytes >> 6;
}

/** The cost of copying so many bytes, from the socket, into a message, or into a response. */
export function copyWork(bytes: number): number {
  return bytes >> 8;
}

/** The share of the event loop that one connection has. */
export interface Flow {
  /** The number of the current turn. */
  readonly turn: number;
  /** Counts work that has been done. */
  spend(work: number): void;
  /** True if the quota of this turn is used up, and further work should wait(). */
  readonly isSpent: boolean;
  /**
   * True if all connections together have done so much work in this turn that a message, which may cost far more
   * than a quota, should wait(). It limits a turn to one such message, however many connections have one.
   */
  readonly isTurnFull: boolean;
  /** True if even work in progress should wait(). */
  readonly isTurnOverfull: boolean;
  /** Runs a task in a later turn, once this flow has quota again. */
  wait(task: () => void): void;
}

/** A flow without a quota, which never has to wait. */
export const unbounded: Flow = {
  turn: 0,
  spend() {},
  isSpent: false,
  isTurnFull: false,
  isTurnOverfull: false,
  wait: (task) => void setImmediate(task),
};

/**
 * Does work at once if neither the flow nor the turn has used up its quota, and otherwise in a later turn. The work
 * runs inside the deferred task, not after it: otherwise the next task would start before this one's work is
 * counted.
 */
export function inTurn<T>(flow: Flow, work: () => T): T | Promise<T> {
  return flow.isSpent || flow.isTurnFull ? inLaterTurn(flow, work) : work();
}

/** Does the same, and counts the work. */
export function spendInTurn<T>(flow: Flow, work: number, task: () => T): T | Promise<T> {
  return inTurn(flow, () => {
    flow.spend(work);
    return task();
  });
}

/** Does work in a later turn, once the flow has quota again. */
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

/** The connections that all servers of this process have accepted. */
let acceptedConnections = 0;

/**
 * Must be called for every connection that the process accepts. It makes the next turn of every scheduler short, because
 * all servers of a process share its event loop.
 */
export function connectionAccepted(): void {
  acceptedConnections++;
}

/** Schedules the work of all connections of a server. */
export class Scheduler {
  /** The number of the current turn. */
  turn = 1;
  /** The work that flows which are not queued may still do in this turn. */
  fresh = turnShare;
  /** The work done in this turn by all flows. */
  done = 0;
  #atEnd: (() => void)[] = [];
  /** The other of two arrays that are swapped each turn, so that a turn allocates none. */
  #ending: (() => void)[] = [];
  readonly #waiting: WaitingFlow[] = [];
  readonly #later: (task: () => void) => unknown;
  #isScheduled = false;
  #share = turnShare;
  /** The accepted connections at the start of the turn, and the number of short turns in a row. */
  #accepted = acceptedConnections;
  #shortTurns = 0;

  /** `later` runs a task in the next turn of the event loop. */
  constructor(later: (task: () => void) => unknown = setImmediate) {
    this.#later = later;
  }

  /** See Flow. */
  get isTurnFull(): boolean {
    return this.done >= fullTurn * this.#share;
  }

  get isTurnOverfull(): boolean {
    return this.done >= overfullTurn * this.#share;
  }

  /** Creates the flow of one connection. */
  createFlow(): Flow {
    return new WaitingFlow(this);
  }

  /**
   * Runs a task at the end of this turn, after every readable socket has been read: what a connection produces in a
   * turn is sent in one write. One event loop task serves all connections.
   */
  atEnd(task: () => void): void {
    this.#atEnd.push(task);
    this.schedule();
  }

  /** Schedules the next turn, unless it is scheduled. */
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
    this.#share = this.#nextShare();
    this.fresh = this.#share;
    this.done = 0;
    this.#shareOut();
    if (this.#waiting.length > 0) this.schedule();
  };

  #nextShare(): number {
    const isShort = this.#accepted !== acceptedConnections;
    this.#accepted = acceptedConnections;
    this.#shortTurns = isShort ? this.#shortTurns + 1 : 0;
    if (!isShort) return turnShare;
    return this.#shortTurns > maxShortTurns ? shortestTurnShare : shortTurnShare;
  }

  #endTurn(): void {
    const tasks = this.#atEnd;
    this.#atEnd = this.#ending;
    this.#ending = tasks;
    for (const task of tasks) guard(task);
    tasks.length = 0;
  }

  #shareOut(): void {
    const waiting = this.#waiting;
    const quantum = Math.floor(this.#share / Math.max(1, waiting.length));
    const granted = Math.min(maxQuantum, Math.max(minQuantum, quantum));
    for (let left = this.#share; left > 0;) {
      const flow = waiting.shift();
      if (!flow) return;
      // A flow with a deficit from earlier rounds gets a smaller quota, or none.
      if (flow.grant(granted)) {
        const done = flow.run();
        // The tasks may have started work that continues after they returned.
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
  /** The quota left in `#turn`; negative after an overrun. */
  #left = 0;
  /** True if the quota was granted to a queued flow, and does not count against `fresh`. */
  #isGranted = false;
  #isRunning = false;

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
    // A flow with queued tasks must not overtake itself.
    return !this.#isGranted && (this.#scheduler.fresh <= 0 || this.#tasks.length > 0);
  }

  get isTurnFull(): boolean {
    return this.#scheduler.isTurnFull;
  }

  get isTurnOverfull(): boolean {
    return this.#scheduler.isTurnOverfull;
  }

  wait(task: () => void): void {
    const isFirst = this.#tasks.push(task) === 1;
    if (isFirst && !this.#isRunning) this.#scheduler.enqueue(this);
  }

  /** Adds the quota of a round to the deficit counter; returns whether the flow may run. */
  grant(quantum: number): boolean {
    this.#left = Math.min(quantum, this.#left + quantum);
    this.#turn = this.#scheduler.turn;
    this.#isGranted = true;
    return this.#left > 0;
  }

  /** Runs tasks until the quota is used up; returns the work that was done. */
  run(): number {
    const before = this.#left;
    this.#isRunning = true;
    // Tasks that are queued meanwhile wait for the next round.
    for (let count = this.#tasks.length; count > 0 && this.#left > 0; count--) {
      const task = this.#tasks.shift();
      if (task) guard(task);
    }
    this.#isRunning = false;
    return before - this.#left;
  }

  /** Adds the quota of each turn that has passed. */
  #renew(): void {
    const { turn } = this.#scheduler;
    if (turn === this.#turn) return;
    this.#left = Math.min(maxQuantum, this.#left + (turn - this.#turn) * maxQuantum);
    this.#turn = turn;
    this.#isGranted = false;
  }
}

/** Rethrows an error outside the turn, so that a fault in one connection does not stop the others. */
function guard(task: () => void): void {
  try {
    task();
  } catch (error) {
    setImmediate(() => {
      throw error;
    });
  }
}
