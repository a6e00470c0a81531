import type {
  CallContext,
  MethodDescriptor,
  ServerMiddleware,
  ServerMiddlewareCall,
} from 'nice-grpc-common';
import { type EndReason, reasons } from './end_reason.ts';
import type { Handler } from './methods.ts';
import type { ResponseWriter } from './response_writer.ts';

/** Middleware of any context type: the types are checked where middleware are attached. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyMiddleware = ServerMiddleware<any, any>;
export type Next = (request: unknown, context: CallContext) => AsyncGenerator;

/** A method as its middleware see it: the descriptor has nice-grpc's fields only. */
export interface DescribedMethod extends Pick<
  MethodDescriptor,
  'requestStream' | 'responseStream'
> {
  /** One object for all calls of the method. */
  readonly descriptor: MethodDescriptor;
}

/**
 * Runs the middleware of a method, then `handler`. As in nice-grpc, each middleware gets the request that the
 * previous one passed on.
 */
export function throughChain(
  chain: readonly AnyMiddleware[],
  method: DescribedMethod,
  handler: Next,
): Next {
  return chain.reduceRight((next: Next, middleware) => through(middleware, method, next), handler);
}

function through(middleware: AnyMiddleware, about: DescribedMethod, next: Next): Next {
  return (request, context) => {
    const { descriptor: method, requestStream, responseStream } = about;
    const call = { method, requestStream, request, responseStream, next };
    // The kinds agree, as all four come from one method.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return middleware(call as ServerMiddlewareCall<unknown, unknown>, context);
  };
}

/** A call that can be cut while its handler runs. */
export interface Interruptible {
  readonly method: {
    readonly handler: Handler;
    readonly requestStream: boolean;
    readonly responseStream: boolean;
  };
  /** The error that cut the call, if it is cut. */
  readonly cutBy: Error | undefined;
  /** Set while a handler runs; called when the call is cut. */
  interrupt: ((error: Error) => void) | undefined;
  readonly response: {
    /** Throws a ServerError for metadata that cannot be sent. */
    checkMetadata(): void;
  };
}

/**
 * The last `next()` of the chain: invokes the handler until the call is cut. If the call was cut before, by an error
 * or a deadline, it throws that error and runs no handler. `original` is the call's own request.
 */
export function invokeHandler(call: Interruptible, original: unknown): Next {
  const { handler, requestStream, responseStream } = call.method;
  return (request, context) => {
    const start = () => {
      if (request !== original) checkKind(request, requestStream);
      return handler(request, context);
    };
    return responseStream ? new Responses(start, call) : new OneResponse(start, call);
  };
}

/** Throws if middleware passed on a request of the wrong kind, stream or message. */
function checkKind(request: unknown, requestStream: boolean): void {
  if (isAsyncIterable(request) === requestStream) return;
  const [wrong, right] = requestStream ? ['one message', 'a stream'] : ['a stream', 'one message'];
  throw new Error(`Cannot pass ${wrong} from a middleware to a method that takes ${right}`);
}

/**
 * An async generator that returns one response. It is not an `async function*`, so that there is only one promise
 * between the handler and the middleware's `yield*`, and it can be rejected when the call is cut.
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
          // Checked here, where middleware can still catch the error. The message is encoded later, as middleware may
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

/** The handler's response stream; a pending next() is rejected when the call is cut. */
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
      // Not awaited, as a handler that ignores its signal may never return.
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
      // The call has already ended with another error.
    }
  }
}

/** Throws a TypeError if a handler returned no response. */
function checkGiven(response: unknown): void {
  if (response !== undefined && response !== null) return;
  throw new TypeError('Cannot respond with nothing: the method has one response');
}

/** The iterator of a handler's response stream. */
function iterate(responses: unknown): AsyncIterator<unknown> {
  if (isAsyncIterable(responses)) return responses[Symbol.asyncIterator]();
  throw new TypeError('Cannot respond with a stream: the service gave no async iterable');
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** Runs a handler, and rejects earlier if the call is cut. */
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

/** The call that receives the responses. */
export interface Respondent {
  readonly response: ResponseWriter;
  /** The error that cut the call, if it is cut. */
  readonly cutBy: Error | undefined;
  /** True once the status is decided. */
  readonly isEnded: boolean;
  end(reason: EndReason): void;
}

/** Responds with the result of a handler's promise. */
export async function respondOnce(call: Respondent, handle: () => unknown): Promise<void> {
  try {
    respond(call, await handle());
  } catch (error) {
    call.end(reasons.threw(error));
  }
}

/** Responds with what the middleware of a method without a response stream return. */
export async function respondThroughChain(
  call: Respondent,
  enter: () => AsyncGenerator,
): Promise<void> {
  try {
    const generator = enter();
    let result = await generator.next();
    while (!result.done) result = await generator.throw(new Error(yieldedMessage));
    respond(call, result.value);
  } catch (error) {
    call.end(reasons.threw(error));
  }
}

/** Responds with each message of a response stream, with backpressure. */
export async function respondAll(call: Respondent, responses: () => unknown): Promise<void> {
  const { response } = call;
  try {
    const iterator = iterate(responses());
    let result = await iterator.next();
    while (!result.done) {
      let goOn: boolean;
      try {
        const sending = response.send(result.value);
        // Drops the reference, as the peer may read slowly and the encoded message is kept.
        result = sent;
        goOn = typeof sending === 'boolean' ? sending : await sending;
      } catch (error) {
        return await leave(call, iterator, error);
      }
      if (!goOn && !call.cutBy) await response.writable();
      if (call.cutBy) return await leave(call, iterator, call.cutBy);
      result = await iterator.next();
    }
    if (result.value !== undefined) throw new Error(returnedMessage);
    call.end(reasons.finished);
  } catch (error) {
    call.end(reasons.threw(error));
  }
}

/**
 * Sends the response and the status. Nothing awaits a response that is sent later, as the waiting function would keep
 * the request in memory.
 */
function respond(call: Respondent, message: unknown): void {
  if (call.isEnded) return;
  checkGiven(message);
  const sent = call.response.send(message);
  if (typeof sent === 'boolean') return call.end(reasons.finished);
  sent
    .then(() => call.end(reasons.finished))
    .catch((error: unknown) => call.end(reasons.threw(error)));
}

/** Ends the iteration early, so that the handler and all middleware see the reason. */
async function leave(
  call: Respondent,
  iterator: AsyncIterator<unknown>,
  error: unknown,
): Promise<void> {
  if (!iterator.throw) await iterator.return?.();
  else if ((await iterator.throw(error)).done === false) await iterator.return?.();
  call.end(reasons.threw(error));
}

const sent: IteratorYieldResult<undefined> = { done: false, value: undefined };
const yieldedMessage = 'Cannot yield a message from the middleware of a method with one response';
const returnedMessage = 'Cannot return a message from the middleware of a response stream';
