import assert from 'node:assert/strict';
import type { Client } from 'nice-grpc';
import type { EchoMethods } from '../echo/echo.ts';
import {
  type EchoServiceImplementation,
  type EchoDefinition,
  EchoRequest,
} from '../echo/gen/echo.ts';

/** The four kinds of calls, to run a test for each. */
export const kinds = ['unary', 'serverStream', 'clientStream', 'bidi'] as const;
export type Kind = (typeof kinds)[number];

/** The path of the echo service's method of each kind. */
export const paths: Record<Kind, string> = {
  unary: '/echo.Echo/Unary',
  serverStream: '/echo.Echo/ServerStream',
  clientStream: '/echo.Echo/ClientStream',
  bidi: '/echo.Echo/Bidi',
};

/** The same as in the log and in spans. */
export const rpcMethods: Record<Kind, string> = {
  unary: paths.unary.slice(1),
  serverStream: paths.serverStream.slice(1),
  clientStream: paths.clientStream.slice(1),
  bidi: paths.bidi.slice(1),
};

type EchoClient = Client<typeof EchoDefinition>;
type CallOptions = Parameters<EchoClient['unary']>[1];

/** Calls the method of a kind; streams send `requests`. Resolves with all responses. */
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

/** An echo service whose methods all throw the error of `fail`, streams after one response. */
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
 * An echo service whose methods wait for the next request, and then until the call's signal aborts, even if the
 * client has ended its requests.
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

/** A request stream with one message that does not end. */
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

/** An echo service for tests that replace its methods. */
export const unusedEcho = {
  unary: unused,
  serverStream: unused,
  clientStream: unused,
  bidi: unused,
};
