import assert from 'node:assert/strict';
import type { Client } from 'nice-grpc';
import type { EchoMethods } from '../echo/echo.ts';
import {
  type EchoServiceImplementation,
  type EchoDefinition,
  EchoRequest,
} from '../echo/gen/echo.ts';

/** The four kinds of call, so that a test can be run for each. */
export const kinds = ['unary', 'serverStream', 'clientStream', 'bidi'] as const;
export type Kind = (typeof kinds)[number];

/** The path of the echo service's method of each kind. */
export const paths: Record<Kind, string> = {
  unary: '/echo.Echo/Unary',
  serverStream: '/echo.Echo/ServerStream',
  clientStream: '/echo.Echo/ClientStream',
  bidi: '/echo.Echo/Bidi',
};

/** The same as the log and spans name them. */
export const rpcMethods: Record<Kind, string> = {
  unary: paths.unary.slice(1),
  serverStream: paths.serverStream.slice(1),
  clientStream: paths.clientStream.slice(1),
  bidi: paths.bidi.slice(1),
};

type EchoClient = Client<typeof EchoDefinition>;
type CallOptions = Parameters<EchoClient['unary']>[1];

/** Calls the method of a kind; streams send `requests`. Resolves with every reply there was. */
export function call(
  client: EchoClient,
  kind: Kind,
  options: CallOptions & { requests?: AsyncIterable<Partial<EchoRequest>> } = {},
): Promise<unknown[]> {
  const request = { text: 'Bello Keys' };
  const requests = options.requests ?? one(request);
  const calls: Record<Kind, () => Promise<unknown[]>> = {
    unary: () => client.unary(request, options).then((reply) => [reply]),
    serverStream: () => Array.fromAsync(client.serverStream(request, options)),
    clientStream: () => client.clientStream(requests, options).then((reply) => [reply]),
    bidi: () => Array.fromAsync(client.bidi(requests, options)),
  };
  return calls[kind]();
}

/** An echo service whose methods all throw what `fail` gives, the streams after one reply. */
export function failing(fail: () => unknown): EchoMethods {
  const throwing = () => Promise.reject(fail());
  return {
    unary: throwing,
    clientStream: throwing,
    async *serverStream() {
      yield {};
      throw fail();
    },
    async *bidi() {
      yield {};
      throw fail();
    },
  };
}

/**
 * An echo service whose methods wait for the next request, and then until the call's signal aborts. A
 * client may end its requests before it cancels: the call goes on then.
 */
export function waiting(): Partial<EchoServiceImplementation> {
  return {
    unary: (_request, { signal }) => aborted(signal),
    clientStream: (requests, { signal }) => drained(requests, signal),
    async *serverStream(_request, { signal }) {
      yield {};
      await aborted(signal);
    },
    async *bidi(requests, { signal }) {
      yield {};
      await drained(requests, signal);
    },
  };
}

/** A request stream of one message that is never ended. */
export async function* unending(): AsyncGenerator<EchoRequest> {
  yield EchoRequest.create({ text: 'A' });
  await new Promise(() => {});
}

async function drained(requests: AsyncIterable<EchoRequest>, signal: AbortSignal): Promise<never> {
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

/** An echo service that nobody calls, for tests that have methods of their own in its place. */
export const unusedEcho = {
  unary: unused,
  serverStream: unused,
  clientStream: unused,
  bidi: unused,
};
