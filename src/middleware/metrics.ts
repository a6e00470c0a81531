import type { ServerMiddlewareCall } from 'nice-grpc-common';
import type { MethodCounts } from '../observability/call_counts.ts';

/** The request for the service; messages of a stream are counted as they are read. */
export function countRequests<Req, Res>(
  call: ServerMiddlewareCall<Req, Res>,
  counts: MethodCounts,
): Req | AsyncIterable<Req> {
  return call.requestStream ? new CountedRequests(call.request, counts) : call.request;
}

/** The responses of a stream, counted as they are sent. */
export function countResponses<T>(
  responses: AsyncGenerator<T, void, undefined>,
  counts: MethodCounts,
): AsyncGenerator<T, void, undefined> {
  return new CountedResponses(responses, counts);
}

class CountedRequests<T> implements AsyncIterableIterator<T> {
  readonly #requests: AsyncIterator<T>;
  readonly #count: (result: IteratorResult<T>) => void;

  constructor(requests: AsyncIterable<T>, counts: MethodCounts) {
    this.#requests = requests[Symbol.asyncIterator]();
    this.#count = (result) => {
      if (result.done !== true) counts.received++;
    };
  }

  /** A service may never await the promise, so its rejection is marked as handled. */
  next(): Promise<IteratorResult<T>> {
    const next = this.#requests.next();
    next.then(this.#count, ignore);
    return next;
  }

  async return(): Promise<IteratorResult<T>> {
    return (await this.#requests.return?.()) ?? { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function ignore(): void {}

/**
 * A request for the next response means that the previous one was sent. Counting like this needs no extra promise.
 */
class CountedResponses<T> implements AsyncGenerator<T, void, undefined> {
  readonly #responses: AsyncGenerator<T, void, undefined>;
  readonly #counts: MethodCounts;
  #hasGiven = false;

  constructor(responses: AsyncGenerator<T, void, undefined>, counts: MethodCounts) {
    this.#responses = responses;
    this.#counts = counts;
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#hasGiven) this.#counts.sent++;
    this.#hasGiven = true;
    return this.#responses.next();
  }

  return(): Promise<IteratorResult<T, void>> {
    return this.#responses.return();
  }

  throw(error: unknown): Promise<IteratorResult<T, void>> {
    return this.#responses.throw(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
