import type { Flow } from '../scheduler.ts';
import { malformed } from '../errors.ts';
import type { MessageReader, RawMessage } from './messages.ts';

interface RequestStreamDeps<T> {
  /** The scheduler's flow of the connection. */
  flow: Flow;
  reader: MessageReader;
  /** Called when a message is requested, before looking for one. */
  onAsk: () => void;
  /** True if the next message waits for admission. */
  mustWait: () => boolean;
  decode: (message: RawMessage) => T | Promise<T>;
  /** Called when a message was taken, or when none is available. */
  onPull: () => void;
  /** Called when the caller violates the protocol; it fails the stream. */
  fail: (error: unknown) => void;
}

/** The request stream as its handler reads it: each message is decoded when it is requested. */
export class RequestStream<T> implements AsyncIterableIterator<T> {
  readonly #deps: RequestStreamDeps<T>;
  readonly #waiting: PromiseWithResolvers<IteratorResult<T>>[] = [];
  #state: 'open' | 'ended' | 'left' = 'open';
  #error: Error | undefined;
  /** True while available messages wait for the connection's quota. */
  #isPutOff = false;

  constructor(deps: RequestStreamDeps<T>) {
    this.#deps = deps;
  }

  /** True while a handler waits for a message that has not arrived. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0 && !this.#isPutOff;
  }

  /** True if no more messages arrive after those that the reader has. */
  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  /** True if nothing reads the stream any more. */
  get isLeft(): boolean {
    return this.#state === 'left' || this.#error !== undefined;
  }

  /** Serves a pending read, if a message is available. */
  wake(): void {
    while (this.#waiting.length > 0) {
      if (this.#mustWait()) return;
      const message = this.#read();
      if (!message) break;
      const waiting = this.#waiting.shift();
      waiting?.resolve(this.#deliver(message));
      waiting?.promise.catch(ignore);
    }
    if (this.#state !== 'open') this.#finish();
  }

  /** No more messages arrive. */
  end(): void {
    if (this.#state === 'open') this.#state = 'ended';
    // Reports a truncated message to a pending read.
    this.wake();
  }

  #finish(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve(done);
  }

  /** Fails pending and later reads with this error. */
  fail(reason: Error): void {
    this.#error ??= reason;
    for (const { promise, reject } of this.#waiting.splice(0)) {
      promise.catch(ignore);
      reject(reason);
    }
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#error) return rejected(this.#error);
    if (this.#state === 'left') return Promise.resolve(done);
    this.#deps.onAsk();
    if (!this.#mustWait()) {
      const message = this.#read();
      if (this.#error) return rejected(this.#error);
      if (!message && this.#state === 'ended') return Promise.resolve(done);
      if (message) {
        this.#deps.onPull();
        return this.#deliver(message);
      }
    }
    const waiting = Promise.withResolvers<IteratorResult<T>>();
    this.#waiting.push(waiting);
    this.#deps.onPull();
    return waiting.promise;
  }

  /** The handler stops reading. */
  return(): Promise<IteratorResult<T>> {
    this.#state = 'left';
    this.#deps.reader.clear();
    this.#finish();
    this.#deps.onPull();
    return Promise.resolve(done);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** True if other connections go first. */
  #mustWait(): boolean {
    const { flow, reader, mustWait } = this.#deps;
    if (this.#isPutOff) return true;
    if (reader.heldBytes === 0) return false;
    if (mustWait()) return true;
    if (!flow.isSpent) return false;
    this.#isPutOff = true;
    flow.wait(() => {
      this.#isPutOff = false;
      this.wake();
      // If the message is incomplete, the caller may need a larger window for the rest.
      this.#deps.onPull();
    });
    return true;
  }

  #read(): RawMessage | undefined {
    const { fail, reader } = this.#deps;
    try {
      const message = reader.next();
      if (!message && this.#state === 'ended' && reader.heldBytes > 0) {
        fail(malformed('a message that is cut short'));
      }
      return message;
    } catch (error) {
      fail(error);
      return undefined;
    }
  }

  #deliver(message: RawMessage): Promise<IteratorResult<T>> {
    try {
      const value = this.#deps.decode(message);
      if (!(value instanceof Promise)) return Promise.resolve({ done: false, value });
      const result = value.then((decoded): IteratorResult<T> => ({ done: false, value: decoded }));
      result.catch(ignore);
      return result;
    } catch (error) {
      return rejected(error);
    }
  }
}

/**
 * A handler may request a message and never await it. That must not be an unhandled rejection, which would end the
 * process.
 */
function rejected(reason: unknown): Promise<never> {
  const promise = Promise.reject(reason);
  promise.catch(ignore);
  return promise;
}

function ignore(): void {}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };
