import { Bag, type Placed } from '../bag.ts';
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
  readonly #calls = new Bag<OpenCall>();
  #entries = 0;
  #inChain = 0;
  #limited = 0;
  #drained: Cut | undefined;
  #cut: Cut | undefined;

  get size(): number {
    return this.#calls.size;
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
  drain(reason: Cut = reasons.serverLeaves()): void {
    this.#drained = reason;
    for (const call of this.#calls.all()) if (call.isEndless) call.end(reason);
  }

  /** Ends all of them, now and from now on. */
  cut(reason: Cut = reasons.serverLeaves()): void {
    this.#drained = reason;
    this.#cut = reason;
    this.end(reason);
  }

  /** Ends those that there are. */
  end(reason: Cut): void {
    for (const call of this.#calls.all()) call.end(reason);
  }
}
