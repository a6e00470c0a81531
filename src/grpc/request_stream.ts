import { broken, type MessageReader, type RawMessage } from './message_reader.ts';

interface RequestStreamDeps<T> {
  reader: MessageReader;
  decode: (message: RawMessage) => T | Promise<T>;
  /** Called when a message has been taken, or when one is missing. */
  onPull: () => void;
  /** Called when the caller does not keep to the protocol; it fails the stream. */
  fail: (error: unknown) => void;
}

/** The messages of a request, as its handler takes them: each is decoded when it is asked for. */
export class RequestStream<T> implements AsyncIterableIterator<T> {
  readonly #deps: RequestStreamDeps<T>;
  readonly #waiting: PromiseWithResolvers<IteratorResult<T>>[] = [];
  #state: 'open' | 'ended' | 'left' = 'open';
  #error: Error | undefined;

  constructor(deps: RequestStreamDeps<T>) {
    this.#deps = deps;
  }

  /** Whether a handler waits for a message that is not there. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether nobody takes any more. */
  get isLeft(): boolean {
    return this.#state === 'left' || this.#error !== undefined;
  }

  /** Looks whether there is what somebody waits for. */
  wake(): void {
    while (this.#waiting.length > 0) {
      const message = this.#read();
      if (!message) return;
      const waiting = this.#waiting.shift();
      void this.#deliver(message).then(waiting?.resolve, waiting?.reject);
    }
  }

  /** There are no more messages than those the reader has. */
  end(): void {
    if (this.#state === 'open') this.#state = 'ended';
    // Says what is wrong with a message that is cut short, if somebody waits for it.
    if (this.#waiting.length > 0) this.#read();
    for (const { resolve } of this.#waiting.splice(0)) resolve(done);
  }

  /** Whoever asks from now on gets this error. */
  fail(error: Error): void {
    this.#error ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#error) return Promise.reject(this.#error);
    if (this.#state === 'left') return Promise.resolve(done);
    const message = this.#read();
    if (this.#error) return Promise.reject(this.#error);
    if (!message && this.#state === 'ended') return Promise.resolve(done);
    if (message) {
      this.#deps.onPull();
      return this.#deliver(message);
    }
    const waiting = Promise.withResolvers<IteratorResult<T>>();
    this.#waiting.push(waiting);
    this.#deps.onPull();
    return waiting.promise;
  }

  /** The handler has seen enough. */
  return(): Promise<IteratorResult<T>> {
    this.#state = 'left';
    this.end();
    this.#deps.reader.clear();
    this.#deps.onPull();
    return Promise.resolve(done);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #read(): RawMessage | undefined {
    const { fail, reader } = this.#deps;
    try {
      const message = reader.next();
      if (!message && this.#state === 'ended' && reader.heldBytes > 0) {
        fail(broken('a message that is cut short'));
      }
      return message;
    } catch (error) {
      fail(error);
      return undefined;
    }
  }

  async #deliver(message: RawMessage): Promise<IteratorResult<T>> {
    return { done: false, value: await this.#deps.decode(message) };
  }
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };
