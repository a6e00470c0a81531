/** How many streams all connections of a server have open together, against what it can bear. */
export class OpenCount {
  readonly #max: number;
  value = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get isFull(): boolean {
    return this.value >= this.#max;
  }
}
