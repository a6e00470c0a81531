import assert from 'node:assert/strict';
import type { Client } from 'nice-grpc';
import type { Call } from '../src/context.ts';
import {
  type GreeterServiceImplementation as Greet,
  type GreeterDefinition,
  HelloRequest,
} from '../src/gen/greet.ts';

/** The four kinds of call, so that a test can be run for each. */
export const kinds = ['unary', 'serverStream', 'clientStream', 'bidi'] as const;
export type Kind = (typeof kinds)[number];

/** The path of the greet service's method of each kind. */
export const paths: Record<Kind, string> = {
  unary: '/greet.Greeter/SayHello',
  serverStream: '/greet.Greeter/ParrotSayHello',
  clientStream: '/greet.Greeter/ChattyClientSayHello',
  bidi: '/greet.Greeter/InteractiveSayHello',
};

/** The same as the log and spans name them. */
export const rpcMethods: Record<Kind, string> = {
  unary: paths.unary.slice(1),
  serverStream: paths.serverStream.slice(1),
  clientStream: paths.clientStream.slice(1),
  bidi: paths.bidi.slice(1),
};

type GreetClient = Client<typeof GreeterDefinition>;
type CallOptions = Parameters<GreetClient['sayHello']>[1];

/** Calls the method of a kind; streams send `requests`. Resolves with every reply there was. */
export function call(
  client: GreetClient,
  kind: Kind,
  options: CallOptions & { requests?: AsyncIterable<Partial<HelloRequest>> } = {},
): Promise<unknown[]> {
  const request = { greeting: 'Bello', name: 'Keys' };
  const requests = options.requests ?? one(request);
  const calls: Record<Kind, () => Promise<unknown[]>> = {
    unary: () => client.sayHello(request, options).then((reply) => [reply]),
    serverStream: () => Array.fromAsync(client.parrotSayHello(request, options)),
    clientStream: () => client.chattyClientSayHello(requests, options).then((reply) => [reply]),
    bidi: () => Array.fromAsync(client.interactiveSayHello(requests, options)),
  };
  return calls[kind]();
}

/** A greet service whose methods all throw what `fail` gives, the streams after one reply. */
export function failing(fail: () => unknown): Partial<Greet<Call>> {
  const throwing = () => Promise.reject(fail());
  return {
    sayHello: throwing,
    chattyClientSayHello: throwing,
    async *parrotSayHello() {
      yield {};
      throw fail();
    },
    async *interactiveSayHello() {
      yield {};
      throw fail();
    },
  };
}

/**
 * A greet service whose methods wait for the next request, and then until the call's signal aborts. A
 * client may end its requests before it cancels: the call goes on then.
 */
export function waiting(): Partial<Greet> {
  return {
    sayHello: (_request, { signal }) => aborted(signal),
    chattyClientSayHello: (requests, { signal }) => drained(requests, signal),
    async *parrotSayHello(_request, { signal }) {
      yield {};
      await aborted(signal);
    },
    async *interactiveSayHello(requests, { signal }) {
      yield {};
      await drained(requests, signal);
    },
  };
}

/** A request stream of one message that is never ended. */
export async function* unending(): AsyncGenerator<HelloRequest> {
  yield HelloRequest.create({ name: 'A' });
  await new Promise(() => {});
}

async function drained(requests: AsyncIterable<HelloRequest>, signal: AbortSignal): Promise<never> {
  for await (const _ of requests);
  return await aborted(signal);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

async function* one<T>(value: T): AsyncGenerator<T> {
  yield value;
}

const unused = () => assert.fail('nobody calls it');

/** A greet service that nobody calls, for tests that have methods of their own in its place. */
export const unusedGreet = {
  sayHello: unused,
  parrotSayHello: unused,
  parrotSaysHello: unused,
  chattyClientSayHello: unused,
  chattyClientSaysHello: unused,
  interactiveSayHello: unused,
  interactingHello: unused,
};
