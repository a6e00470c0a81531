import type { Account } from './account.ts';
import { type AdmissionRequest, timesOfMessage } from './admission.ts';

interface BodyBudgetDeps {
  account: Account;
  /** Sets the bytes that are charged. */
  charge: (bytes: number) => void;
  /** Called when a message begins (true) or ceases (false) to wait for admission. */
  onWait?: (isWaiting: boolean) => void;
  /** Called when a message is admitted with so many bytes, and when it is released. */
  onAdmitted: (bytes: number) => void;
  onReleased: () => void;
}

/** The memory of a request body that is read before its call is opened, and the admission of its messages. */
export class BodyBudget {
  readonly #deps: BodyBudgetDeps;
  #kept = 0;
  #reserved = 0;
  #waiting: AdmissionRequest<Account> | undefined;
  #isOver = false;
  /** Ends admit(). */
  #answer: ((isAdmitted: boolean) => void) | undefined;

  constructor(deps: BodyBudgetDeps) {
    this.#deps = deps;
  }

  /** True while a message waits for admission, and must not be read. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** True if so many bytes may be buffered. */
  admits(bytes: number): boolean {
    const more = bytes - Math.max(this.#kept, this.#reserved);
    return (bytes > 0 && more <= 0) || this.#deps.account.admits('bytes', Math.max(0, more));
  }

  /** Sets the number of bytes that are buffered. */
  keep(bytes: number): void {
    if (this.#isOver) return;
    this.#kept = bytes;
    this.#count();
  }

  /** Waits until a message of so many bytes may be read and decoded; resolves to false if it is refused. */
  admit(bytes: number): Promise<boolean> {
    const { account } = this.#deps;
    this.release();
    if (this.#isOver) return Promise.resolve(false);
    const reservation = account.capAdmission(timesOfMessage * bytes);
    return new Promise((resolve) => {
      this.#answer = (isAdmitted) => {
        this.#answer = undefined;
        this.#wait(undefined);
        if (isAdmitted) this.#reserve(reservation);
        resolve(isAdmitted);
      };
      const answer = account.requestAdmission(Math.max(0, reservation - this.#kept), {
        granted: () => this.#answer?.(true),
        refused: () => this.#answer?.(false),
      });
      if (typeof answer === 'string') this.#answer(answer === 'granted');
      else this.#wait(answer);
    });
  }

  /** The message belongs to its call from now on. */
  release(): void {
    if (this.#reserved === 0) return;
    this.#reserved = 0;
    this.#deps.onReleased();
    this.#count();
  }

  /** Charges nothing from now on. */
  end(): void {
    if (this.#isOver) return;
    if (this.#waiting) this.#deps.account.cancelAdmission(this.#waiting);
    this.#isOver = true;
    this.#answer?.(false);
    this.#kept = 0;
    this.release();
    this.#count();
  }

  #reserve(bytes: number): void {
    this.#reserved = bytes;
    this.#deps.onAdmitted(bytes);
    this.#count();
  }

  #wait(waiting: AdmissionRequest<Account> | undefined): void {
    if (this.#waiting === waiting) return;
    this.#waiting = waiting;
    this.#deps.onWait?.(waiting !== undefined);
  }

  #count(): void {
    this.#deps.charge(Math.max(this.#kept, this.#reserved));
  }
}
