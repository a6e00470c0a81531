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
