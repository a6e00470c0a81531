import type { JsonObject } from '@bufbuild/protobuf';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web';
import { type Call, initialName, type Outcome, trailingName } from './calls.ts';
import { createConnectWebClient } from './connect_web.ts';
import { createGoogleClient } from './google.ts';
import { callByFetch, get, upload } from './plain_fetch.ts';

// Calls the servers that /servers names, and posts what it sees to /results; browser_clients.py tests that.

const clients: Record<string, Call> = {
  'connect-web': createConnectWebClient((baseUrl) => createConnectTransport({ baseUrl })),
  'connect-web, protobuf': createConnectWebClient((baseUrl) =>
    createConnectTransport({ baseUrl, useBinaryFormat: true }),
  ),
  'connect-web, gRPC-Web': createConnectWebClient((baseUrl) => createGrpcWebTransport({ baseUrl })),
  'grpc-web, text': createGoogleClient('text'),
  'grpc-web, binary': createGoogleClient('binary'),
  fetch: callByFetch,
};

const testService = 'grpc.testing.TestService';
const download = (...sizes: number[]) => ({ responseParameters: sizes.map((size) => ({ size })) });

const calls: Record<string, [name: string, request: JsonObject]> = {
  unary: [`${testService}/UnaryCall`, { responseSize: 3 }],
  stream: [`${testService}/StreamingOutputCall`, download(1, 2, 3)],
  status: [`${testService}/UnaryCall`, { responseStatus: { code: 9, message: 'refused' } }],
  details: ['grpc.health.v1.Health/Watch', { service: 'x'.repeat(10_000) }],
};
const uploads = ['AA==', 'AAA='].map((body) => ({ payload: { body } }));
/** The second message of this stream comes after a minute. */
const slow = { responseParameters: [{ size: 1 }, { size: 1, intervalUs: 60_000_000 }] };
/** The maximum duration of a call, in milliseconds. */
const bound = 10_000;

const headers = { [initialName]: 'mine', [trailingName]: 'q/8=' };

async function see(): Promise<object> {
  const response = await fetch('/servers');
  const { plain, tls, closed }: Record<string, string> = Object(await response.json());
  if (!plain || !tls || !closed) throw new Error('Cannot find the servers');
  return {
    plain: await seeAll(plain),
    tls: await seeAll(tls),
    get: await orError(get(plain, 'helloworld.Greeter/SayHello', { name: 'you' })),
    upload: await orError(upload(tls, `${testService}/StreamingInputCall`, uploads)),
    closed: await seeEach((call) => call(...callNamed('unary'), optionsFor(closed))),
  };
}

async function seeAll(url: string): Promise<object> {
  const seen: Record<string, object> = {};
  for (const name of Object.keys(calls)) {
    seen[name] = await seeEach((call) => call(...callNamed(name), optionsFor(url)));
  }
  // In binary, Google's client reads a stream as a whole.
  const { 'grpc-web, binary': _whole, ...others } = clients;
  seen['first'] = await seeEach((call) => firstOf(call, url), others);
  return seen;
}

async function seeEach(by: (call: Call) => Promise<Outcome>, some = clients) {
  const seen: Record<string, Outcome> = {};
  for (const [client, call] of Object.entries(some)) seen[client] = await by(call);
  return seen;
}

/** Cancels a stream after its first message. */
function firstOf(call: Call, url: string): Promise<Outcome> {
  const controller = new AbortController();
  const { signal, ...options } = optionsFor(url);
  return call(`${testService}/StreamingOutputCall`, slow, {
    ...options,
    onMessage: () => controller.abort(),
    signal: AbortSignal.any([signal, controller.signal]),
  });
}

function callNamed(name: string): [string, JsonObject] {
  const found = calls[name];
  if (!found) throw new Error(`Cannot find call ${name}`);
  return found;
}

function optionsFor(url: string) {
  return { url, headers, onMessage() {}, signal: AbortSignal.timeout(bound) };
}

async function orError(seeing: Promise<unknown>): Promise<unknown> {
  try {
    return await seeing;
  } catch (error) {
    return { error: String(error) };
  }
}

const seen = await orError(see());
await fetch('/results', { method: 'POST', body: JSON.stringify(seen) });
