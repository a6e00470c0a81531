import { setTimeout as sleep } from 'node:timers/promises';
import type { Call } from '../../context.ts';
import { exhausted } from '../../errors.ts';
import { type GreeterServiceImplementation, HelloRequest } from '../../gen/greet.ts';

/** What the greet guide's service can be told. */
export interface GreetOptions {
  /** The pause after each reply of a server stream, in milliseconds. */
  parrotInterval: number;
}

/**
 * The greet guide's service: all four kinds of call, each for both families of clients, whose
 * replies differ in punctuation alone. A client stream that holds too much ends with
 * RESOURCE_EXHAUSTED.
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
/** What a message takes in memory beside its bytes. */
const messageCost = 64;

/** Everything a client stream sends; its size is that of its messages on the wire. */
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
