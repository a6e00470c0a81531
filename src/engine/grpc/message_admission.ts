import type { ServerError } from 'nice-grpc-common';
import type { Account } from '../account.ts';
import type { Stream } from '../http2/stream.ts';
import type { Waiting } from '../waiting_line.ts';
import type { BytesInUse } from './bytes_in_use.ts';
import { type EndReason, reasons } from './end_reason.ts';

/** Smaller messages, in bytes, are read as they come. */
const mostUnasked = 64 * 1024;

/** Whether there has to be room for a message of so many bytes before it is read. */
export function isLarge(length: number): boolean {
  return length > mostUnasked;
}

/** What a message takes: as it comes, as it is decoded, and again where it is answered with as much. */
const times = 3;

/** The call whose message it is. */
interface Admitted {
  readonly stream: Stream;
  readonly inUse: BytesInUse;
  /** RESOURCE_EXHAUSTED: there is no room for what this message would become. */
  busy(): ServerError;
  end(reason: EndReason): void;
}

/**
 * Room for the messages of one call. A large one that there is no room for waits, with its window shut, before it
 * is read; or it is refused. One that is read has all the room it needs, and is not given up while it goes on.
 */
export class MessageAdmission {
  readonly #call: Admitted;
  readonly #onGranted: () => void;
  #length = 0;
  /** What it is given. */
  #room = 0;
  #waiting: Waiting<Account> | undefined;

  constructor(call: Admitted, onGranted: () => void) {
    this.#call = call;
    this.#onGranted = onGranted;
  }

  /** Whether nothing more of the message is to be read. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** A large message of so many bytes is on its way, of which so many are there. */
  receive(length: number, held: number): void {
    if (this.#length === 0) this.#ask(length);
    if (this.#length > 0 && !this.isWaiting) this.#reserve(this.#room - held);
  }

  /** The message at hand is decoded from here on. */
  decode(): void {
    if (this.#length > 0) this.#reserve(this.#room - this.#length);
  }

  /** Nobody has that message any more, or waits for it. */
  release(): void {
    const { stream } = this.#call;
    if (this.#waiting) stream.account.leave(this.#waiting);
    this.#waiting = undefined;
    stream.wait(false);
    if (this.#length === 0) return;
    this.#length = 0;
    stream.admit(false);
    this.#reserve(0);
  }

  #ask(length: number): void {
    const { inUse, stream } = this.#call;
    this.#length = length;
    this.#room = stream.account.mostOf(times * length);
    // It comes in place of the message before it.
    const answer = stream.account.ask(Math.max(0, this.#room - inUse.held), {
      granted: () => {
        this.#waiting = undefined;
        stream.wait(false);
        stream.admit(true);
        this.#reserve(this.#room);
        this.#onGranted();
      },
      refused: () => this.#refuse(),
    });
    if (answer === 'refused') return this.#refuse();
    if (answer === 'granted') return stream.admit(true);
    this.#waiting = answer;
    stream.wait(true);
  }

  #refuse(): void {
    this.release();
    this.#call.end(reasons.malformed(this.#call.busy()));
  }

  #reserve(bytes: number): void {
    this.#call.inUse.reserve(Math.max(0, bytes));
  }
}
