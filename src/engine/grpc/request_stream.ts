import type { Flow } from '../scheduler.ts';
import { broken } from '../errors.ts';
import type { MessageReader, RawMessage } from './messages.ts';

interface RequestStreamDeps<T> {
  /** The connection's part of what the server does. */
  flow: Flow;
  reader: MessageReader;
  /** Called when a message is asked for, before it is looked whether there is one. */
  onAsk: () => void;
  /** Whether the next message waits for room. */
  mustWait: () => boolean;
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
  /** Messages that are there wait, as their connection has done its part for now. */
  #isPutOff = false;

  constructor(deps: RequestStreamDeps<T>) {
    this.#deps = deps;
  }

  /** Whether a handler waits for a message that is not there. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0 && !this.#isPutOff;
  }

  /** Whether no more messages come than the reader has. */
  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  /** Whether nobody takes any more. */
  get isLeft(): boolean {
    return this.#state === 'left' || this.#error !== undefined;
  }

  /** Looks whether there is what somebody waits for. */
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

  /** There are no more messages than those the reader has. */
  end(): void {
    if (this.#state === 'open') this.#state = 'ended';
    // Says what is wrong with a message that is cut short, if somebody waits for it.
    this.wake();
  }

  #finish(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve(done);
  }

  /** Whoever asks from now on gets this error. */
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

  /** The handler has seen enough. */
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

  /** Whether the others have their part before the next message. */
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
      // Where the message is not whole, its caller may need room for the rest.
      this.#deps.onPull();
    });
    return true;
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
 * A handler may ask for a message ahead of its need, and then not look at it: that is no unhandled
 * rejection, which would end the process.
 */
function rejected(reason: unknown): Promise<never> {
  const promise = Promise.reject(reason);
  promise.catch(ignore);
  return promise;
}

function ignore(): void {}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };
