import type { CallContext } from 'nice-grpc-common';
import type { Next } from './chain.ts';

/** What a service has for a method: a promise of a response, or an iterable of responses. */
export type Handler = (request: unknown, context: CallContext) => unknown;

/** Lets the engine end a call that its handler does not end. */
export interface Interruptible {
  readonly method: {
    readonly handler: Handler;
    readonly requestStream: boolean;
    readonly responseStream: boolean;
  };
  /** Why the call is over, if it is. */
  readonly cutBy: Error | undefined;
  /** Called when the call is cut while a handler is at work. */
  interrupt: ((error: Error) => void) | undefined;
  readonly response: {
    /** Throws a ServerError for metadata that cannot be sent. */
    checkMetadata(): void;
  };
}

/**
 * The last `next()` of a call: it runs the handler, until the call is cut. One that is cut before, for
 * a fault or a deadline, ends here with that, and no handler runs. `original` is the call's own request.
 */
export function handle(call: Interruptible, original: unknown): Next {
  const { handler, requestStream, responseStream } = call.method;
  return (request, context) => {
    const start = () => {
      if (request !== original) checkKind(request, requestStream);
      return handler(request, context);
    };
    return responseStream ? new Responses(start, call) : new OneResponse(start, call);
  };
}

/** Throws where middleware has passed on another request, and of another kind. */
function checkKind(request: unknown, requestStream: boolean): void {
  if (isAsyncIterable(request) === requestStream) return;
  const [wrong, right] = requestStream ? ['one message', 'a stream'] : ['a stream', 'one message'];
  throw new Error(`Cannot pass ${wrong} from a middleware to a method that takes ${right}`);
}

/**
 * An async generator that returns one response. It is no `async function*`: between the handler's
 * promise and the middleware's `yield*` stands one promise, which can be rejected from outside.
 */
class OneResponse implements AsyncGenerator {
  readonly #start: () => unknown;
  readonly #call: Interruptible;
  #started = false;

  constructor(start: () => unknown, call: Interruptible) {
    this.#start = start;
    this.#call = call;
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#started) return Promise.resolve({ done: true, value: undefined });
    this.#started = true;
    return interruptible(this.#call, (resolve, reject) => {
      const respond = (value: unknown) => {
        try {
          // Here, where middleware still learn of it. The message is encoded when it is sent, as they may
          // change it.
          checkGiven(value);
          this.#call.response.checkMetadata();
          resolve({ done: true, value });
        } catch (error) {
          reject(error);
        }
      };
      Promise.resolve(this.#start()).then(respond, reject);
    });
  }

  async return(value: unknown): Promise<IteratorResult<unknown>> {
    this.#started = true;
    return { done: true, value };
  }

  async throw(error: unknown): Promise<IteratorResult<unknown>> {
    this.#started = true;
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#started = true;
  }
}

/** The handler's responses; a wait for the next one can be ended from outside. */
class Responses implements AsyncGenerator {
  readonly #start: () => unknown;
  readonly #call: Interruptible;
  #iterator: AsyncIterator<unknown> | undefined;
  #isOver = false;

  constructor(start: () => unknown, call: Interruptible) {
    this.#start = start;
    this.#call = call;
  }

  async next(): Promise<IteratorResult<unknown>> {
    if (this.#isOver) return { done: true, value: undefined };
    try {
      const result = await interruptible<IteratorResult<unknown>>(
        this.#call,
        (resolve, reject) => void Promise.resolve(this.#handler().next()).then(resolve, reject),
      );
      this.#isOver = result.done === true;
      if (this.#isOver) this.#call.response.checkMetadata();
      return result;
    } catch (error) {
      this.#isOver = true;
      // Not awaited: a handler that hears nothing may never come back.
      if (error === this.#call.cutBy) void this.#leave();
      throw error;
    }
  }

  async return(value: unknown): Promise<IteratorResult<unknown>> {
    this.#isOver = true;
    if (this.#call.cutBy) void this.#leave();
    else await this.#iterator?.return?.();
    return { done: true, value };
  }

  async throw(error: unknown): Promise<IteratorResult<unknown>> {
    if (this.#isOver || !this.#iterator?.throw) {
      await this.return(undefined);
      throw error;
    }
    const result = await this.#iterator.throw(error);
    this.#isOver = result.done === true;
    return result;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return(undefined);
  }

  #handler(): AsyncIterator<unknown> {
    this.#iterator ??= iterate(this.#start());
    return this.#iterator;
  }

  async #leave(): Promise<void> {
    try {
      await this.#iterator?.return?.();
    } catch {
      // The call has ended otherwise.
    }
  }
}

/** Throws a TypeError where a method with one response has none. */
export function checkGiven(response: unknown): void {
  if (response !== undefined && response !== null) return;
  throw new TypeError('Cannot respond with nothing: the method has one response');
}

/** The iterator of what the handler of a response stream has given. */
export function iterate(responses: unknown): AsyncIterator<unknown> {
  if (isAsyncIterable(responses)) return responses[Symbol.asyncIterator]();
  throw new TypeError('Cannot respond with a stream: the service gave no async iterable');
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** Does it, unless the call is cut before it is done. */
function interruptible<T>(
  call: Interruptible,
  work: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (call.cutBy) return reject(call.cutBy);
    call.interrupt = reject;
    work(resolve, reject);
  });
}
