import { setImmediate as nextTurn } from 'node:timers/promises';
import { UnorderedSet, type Placed } from '../unordered_set.ts';
import { type Cut, reasons } from './end_reason.ts';

/** An open call. OpenCalls writes all fields but `end`. */
export interface OpenCall extends Placed {
  /** True if the call is exempt from limits and is not counted. */
  readonly isUnlimited: boolean;
  /** The sequence number with which it entered the middleware, from 1; 0 outside of them. */
  entry: number;
  /** True if the call never ends on its own. */
  isEndless: boolean;
  /** Ends the call, unless it has ended. */
  end(reason: Cut): void;
}

/**
 * The registry of a server's open calls, from the request headers to the last frame of the response. Limits, shutdown
 * and metrics read it.
 */
export class OpenCalls {
  readonly #calls = new UnorderedSet<OpenCall>();
  #entries = 0;
  #inChain = 0;
  #limited = 0;
  #drained: Cut | undefined;
  #cut: Cut | undefined;

  get size(): number {
    return this.#calls.size;
  }

  /** The number of calls that graceful shutdown waits for, as they end on their own. */
  get finite(): number {
    let count = 0;
    for (const call of this.#calls.all()) if (!call.isEndless) count++;
    return count;
  }

  /** The number of calls in the middleware or the handler. */
  get inChain(): number {
    return this.#inChain;
  }

  /** The number of those that count against limits. */
  get limited(): number {
    return this.#limited;
  }

  /** Set once new calls end at once, with this reason. */
  get closedFor(): Cut | undefined {
    return this.#cut;
  }

  /** Registers a call. */
  add(call: OpenCall): void {
    this.#calls.add(call);
  }

  /** Counts a call that enters the middleware. */
  enter(call: OpenCall): void {
    call.entry = ++this.#entries;
    this.#inChain++;
    if (!call.isUnlimited) this.#limited++;
  }

  /** Counts a call that leaves the middleware, if it had entered; its response may still be sent. */
  leave(call: OpenCall): void {
    if (call.entry === 0) return;
    call.entry = 0;
    this.#inChain--;
    if (!call.isUnlimited) this.#limited--;
  }

  /** Removes a call that is over. */
  delete(call: OpenCall): void {
    this.leave(call);
    this.#calls.delete(call);
  }

  /** Marks a call that never ends on its own; it ends when the server shuts down, possibly at once. */
  endWithDrain(call: OpenCall): void {
    call.isEndless = true;
    if (this.#drained) call.end(this.#drained);
  }

  /**
   * Ends all calls that never end on their own, now and later, so that clients reconnect elsewhere. Resolves when those
   * that are open now have been ended.
   */
  drain(reason: Cut = reasons.serverShutsDown()): Promise<void> {
    this.#drained = reason;
    return endInTurns(
      this.#calls.all().filter(({ isEndless }) => isEndless),
      reason,
    );
  }

  /** Ends all calls, now and later. Resolves when those that are open now have been ended. */
  cut(reason: Cut = reasons.serverShutsDown()): Promise<void> {
    this.#drained = reason;
    this.#cut = reason;
    return endInTurns(this.#calls.all(), reason);
  }

  /** Ends the calls that are open now. */
  end(reason: Cut): void {
    for (const call of this.#calls.all()) call.end(reason);
  }
}

/** The maximum of calls to end in one turn of the event loop: ending each takes time. */
const maxAtOnce = 100;

async function endInTurns(calls: readonly OpenCall[], reason: Cut): Promise<void> {
  for (const [index, call] of calls.entries()) {
    if (index > 0 && index % maxAtOnce === 0) await nextTurn();
    call.end(reason);
  }
}

/** An event at a given time. */
export interface Deadline {
  /** Milliseconds on the clock of its Deadlines. */
  readonly at: number;
  /** The index in the heap, written by Deadlines; -1 if the deadline has passed or was deleted. */
  place: number;
  passed(): void;
}

/** The maximum delay of a Node timer, in milliseconds. */
const longestTimer = 2 ** 31 - 1;

/** All deadlines of a server: a binary heap with one timer for the nearest. */
export class Deadlines {
  readonly #heap: Deadline[] = [];
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #firesAt = Number.POSITIVE_INFINITY;

  /** `now` returns milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  add(deadline: Deadline): void {
    this.#heap.push(deadline);
    this.#rise(deadline, this.#heap.length - 1);
    this.#arm();
  }

  /** Deletes a deadline, unless it has passed. */
  delete(deadline: Deadline): void {
    const { place } = deadline;
    const last = place < 0 ? undefined : this.#heap.pop();
    deadline.place = -1;
    if (last === undefined || last === deadline) return;
    this.#rise(last, place);
    this.#sink(last, last.place);
    // The timer stays, and finds nothing to do at worst.
  }

  readonly #fire = (): void => {
    this.#firesAt = Number.POSITIVE_INFINITY;
    const now = this.#now();
    // Thousands of calls may share a deadline.
    let left = maxAtOnce;
    for (let first = this.#heap[0]; first && first.at <= now; first = this.#heap[0]) {
      if (left-- === 0) return void setImmediate(this.#fire);
      this.delete(first);
      first.passed();
    }
    this.#arm();
  };

  #arm(): void {
    const first = this.#heap[0];
    if (!first || first.at >= this.#firesAt) return;
    clearTimeout(this.#timer);
    this.#firesAt = first.at;
    const delay = Math.ceil(first.at - this.#now());
    this.#timer = setTimeout(this.#fire, Math.min(Math.max(delay, 1), longestTimer)).unref();
  }

  #rise(deadline: Deadline, from: number): void {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#heap[above];
      if (!parent || parent.at <= deadline.at) break;
      this.#put(parent, place);
      place = above;
    }
    this.#put(deadline, place);
  }

  #sink(deadline: Deadline, from: number): void {
    let place = from;
    for (;;) {
      const left = this.#heap[2 * place + 1];
      const right = this.#heap[2 * place + 2];
      const child = right && left && right.at < left.at ? right : left;
      if (!child || child.at >= deadline.at) break;
      const below = child.place;
      this.#put(child, place);
      place = below;
    }
    this.#put(deadline, place);
  }

  #put(deadline: Deadline, place: number): void {
    this.#heap[place] = deadline;
    deadline.place = place;
  }
}
