import type { Account } from '../account.ts';
import { Held } from '../held.ts';
import type { ResponseMemory } from '../web.ts';

/** The memory of a response that is not yet given to its HTTP/1.1 connection. */
export class ResponseBudget implements ResponseMemory {
  readonly #account: Account;
  #kept = 0;
  #charged = 0;
  #jobs = 0;
  #isOver = false;

  constructor(account: Account) {
    this.#account = account;
  }

  keep(bytes: number): void {
    if (this.#isOver) return;
    this.#kept = bytes;
    this.#count();
  }

  beginJob(): void {
    this.#jobs++;
  }

  endJob(): void {
    this.#jobs--;
    this.#count();
  }

  /** Charges nothing from now on, except for jobs. */
  end(): void {
    this.#isOver = true;
    this.#count();
  }

  #count(): void {
    const bytes = this.#isOver && this.#jobs === 0 ? 0 : this.#kept;
    if (bytes === this.#charged) return;
    this.#account.charge(Held.responses, bytes - this.#charged);
    this.#charged = bytes;
  }
}
