import { UnorderedSet, type Placed } from '../unordered_set.ts';
import { type Cut, reasons } from './end_reason.ts';

/** A call, as its server keeps it while it is open. Apart from `end`, the fields are for OpenCalls to write. */
export interface OpenCall extends Placed {
  /** Whether it is neither counted nor refused by limits. */
  readonly isUnlimited: boolean;
  /** How many had entered the middleware before it, and one; 0 while it is not in there. */
  entry: number;
  /** Whether it never ends by itself. */
  isEndless: boolean;
  /** Ends it, if it has not ended yet. */
  end(reason: Cut): void;
}

/**
 * The open calls of a server, from a call's headers until the last frame of its response: limits, drains and
 * counts read them here, and nowhere else.
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

  /** How many a drain waits for, as they end by themselves. */
  get finite(): number {
    let count = 0;
    for (const call of this.#calls.all()) if (!call.isEndless) count++;
    return count;
  }

  /** How many are in the middleware, or in the handler behind them. */
  get inChain(): number {
    return this.#inChain;
  }

  /** How many of those limits count. */
  get limited(): number {
    return this.#limited;
  }

  /** Why a call that comes now ends at once, where it does. */
  get closedFor(): Cut | undefined {
    return this.#cut;
  }

  /** A call has come. */
  add(call: OpenCall): void {
    this.#calls.add(call);
  }

  /** It enters the middleware. */
  enter(call: OpenCall): void {
    call.entry = ++this.#entries;
    this.#inChain++;
    if (!call.isUnlimited) this.#limited++;
  }

  /** It has left the middleware, if it had entered them, though its response may be on its way. */
  leave(call: OpenCall): void {
    if (call.entry === 0) return;
    call.entry = 0;
    this.#inChain--;
    if (!call.isUnlimited) this.#limited--;
  }

  /** It is over. */
  delete(call: OpenCall): void {
    this.leave(call);
    this.#calls.delete(call);
  }

  /** It never ends by itself: it ends when the server drains, which may be now. */
  endWithDrain(call: OpenCall): void {
    call.isEndless = true;
    if (this.#drained) call.end(this.#drained);
  }

  /** Ends those that never end by themselves, now and from now on, so that clients reconnect elsewhere. */
  drain(reason: Cut = reasons.serverShutsDown()): void {
    this.#drained = reason;
    for (const call of this.#calls.all()) if (call.isEndless) call.end(reason);
  }

  /** Ends all of them, now and from now on. */
  cut(reason: Cut = reasons.serverShutsDown()): void {
    this.#drained = reason;
    this.#cut = reason;
    this.end(reason);
  }

  /** Ends those that there are. */
  end(reason: Cut): void {
    for (const call of this.#calls.all()) call.end(reason);
  }
}

/** Something that is to happen at a time. */
export interface Deadline {
  /** Milliseconds, by the clock of its Deadlines. */
  readonly at: number;
  /** Where it stands; its Deadlines' own. -1 when it is over, or was taken back. */
  place: number;
  passed(): void;
}

/** Ten thousand calls can have the same deadline, and each takes a while to end. */
const mostAtOnce = 100;

/** The longest that a Node timer takes, in milliseconds. */
const longestTimer = 2 ** 31 - 1;

/**
 * All deadlines of a server in one binary heap, with one timer for the nearest: a call costs a place
 * in an array.
 */
export class Deadlines {
  readonly #heap: Deadline[] = [];
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #firesAt = Number.POSITIVE_INFINITY;

  /** `now` gives milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  add(deadline: Deadline): void {
    this.#heap.push(deadline);
    this.#rise(deadline, this.#heap.length - 1);
    this.#arm();
  }

  /** Takes a deadline back; nothing happens if it has passed. */
  delete(deadline: Deadline): void {
    const { place } = deadline;
    const last = place < 0 ? undefined : this.#heap.pop();
    deadline.place = -1;
    if (last === undefined || last === deadline) return;
    this.#rise(last, place);
    this.#sink(last, last.place);
    // The timer stays: at worst it finds nothing to do.
  }

  readonly #fire = (): void => {
    this.#firesAt = Number.POSITIVE_INFINITY;
    const now = this.#now();
    let left = mostAtOnce;
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
