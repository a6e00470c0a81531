import { setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../../context.ts';
import { exhausted } from '../../errors.ts';
import { type GreeterServiceImplementation, HelloRequest } from '../../gen/greet.ts';

/** Options of the greet guide's service. */
export interface GreetOptions {
  /** The pause after each response of a server stream, in milliseconds. */
  parrotInterval: number;
}

/**
 * The greet guide's service: all four kinds of calls, each for both families of clients, whose responses differ in
 * punctuation. A client stream that is too large ends with RESOURCE_EXHAUSTED.
 */
export function createGreet({ parrotInterval }: GreetOptions): GreeterServiceImplementation<Call> {
  return {
    async sayHello(request) {
      return { message: `${greet(request)}!` };
    },

    parrotSayHello: (request, { signal }) => parrot(`${greet(request)} `, '!', signal),
    parrotSaysHello: (request, { signal }) => parrot(`${greet(request)} `, '', signal),

    async chattyClientSayHello(requests, call) {
      const request = await collect(requests, call);
      const message = `You have sent ${request.length} messages! Please expect a delayed response...`;
      return { message, request };
    },

    async chattyClientSaysHello(requests, call) {
      const request = await collect(requests, call);
      const message = `You have sent ${request.length} messages. Please expect a delayed response.`;
      return { message, request };
    },

    async *interactiveSayHello(requests) {
      for await (const request of requests) yield { message: `${greet(request)}!` };
    },

    async *interactingHello(requests) {
      for await (const request of requests) yield { message: greet(request) };
    },
  };

  async function* parrot(before: string, after: string, signal: AbortSignal) {
    for (const i of [1, 2, 3]) {
      yield { message: `${before}${i}${after}` };
      await sleep(parrotInterval, undefined, { signal });
    }
  }
}

function greet({ greeting, name }: HelloRequest): string {
  return `${greeting} ${name}`;
}

const maxMessages = 10_000;
const maxBytes = 1024 * 1024;
/** The memory of a message beside its bytes. */
const messageCost = 64;

/** Collects the messages of a client stream; the size is that of the encoded messages. */
async function collect(
  requests: AsyncIterable<HelloRequest>,
  { retain }: Call,
): Promise<HelloRequest[]> {
  const collected: HelloRequest[] = [];
  let bytes = 0;
  for await (const request of requests) {
    bytes += HelloRequest.encode(request).finish().length;
    if (collected.length === maxMessages || bytes > maxBytes) {
      throw exhausted('echo this stream', 'at most 10000 messages and 1 MiB');
    }
    collected.push(request);
    retain?.(bytes + collected.length * messageCost);
  }
  return collected;
}
