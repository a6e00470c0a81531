import type { JsonObject } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import {
  type Call,
  type CallOptions,
  detailOf,
  type Failure,
  initialName,
  methodOf,
  type Outcome,
  trailingName,
} from './calls.ts';

/** The bit of the last envelope, whose message has the error and the trailers. */
const lastFlag = 2;

/** Calls with Connect and JSON, without a library. */
export const callByFetch: Call = async (name, request, options) => {
  try {
    return await (methodOf(name).methodKind === 'unary'
      ? unary(name, request, options)
      : stream(name, request, options));
  } catch (error) {
    const failed = { code: 'fetch', message: String(error), details: [] };
    return { messages: [], initial: null, trailing: null, error: failed };
  }
};

/** Calls a method without side effects with GET, and returns the response. */
export async function get(url: string, name: string, request: JsonObject): Promise<unknown> {
  const message = encodeURIComponent(JSON.stringify(request));
  const response = await fetch(`${url}/${name}?connect=v1&encoding=json&message=${message}`);
  return response.json();
}

/** Calls a method with a stream of requests, which browsers send over HTTP/2 only, and returns the response. */
export async function upload(url: string, name: string, requests: JsonObject[]): Promise<unknown> {
  const response = await fetch(`${url}/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+json' },
    body: new ReadableStream({
      start(controller) {
        for (const request of requests) controller.enqueue(envelope(request));
        controller.close();
      },
    }),
    duplex: 'half',
  });
  const [message] = await Array.fromAsync(envelopes(response));
  return message?.json;
}

async function unary(name: string, request: JsonObject, options: CallOptions): Promise<Outcome> {
  const response = await post(name, JSON.stringify(request), 'application/json', options);
  const json: unknown = await response.json();
  const outcome = {
    messages: [],
    initial: response.headers.get(initialName),
    trailing: response.headers.get(`trailer-${trailingName}`),
  };
  return response.ok ? { ...outcome, messages: [json] } : { ...outcome, error: failure(json) };
}

async function stream(name: string, request: JsonObject, options: CallOptions): Promise<Outcome> {
  const body = envelope(request);
  const response = await post(name, body, 'application/connect+json', options);
  const initial = response.headers.get(initialName);
  const outcome: Outcome = { messages: [], initial, trailing: null };
  try {
    for await (const { flags, json } of envelopes(response)) {
      if (flags === lastFlag) {
        const { error, metadata } = Object(json);
        outcome.trailing = metadata?.[trailingName]?.[0] ?? null;
        return error ? { ...outcome, error: failure(error) } : outcome;
      }
      outcome.messages.push(json);
      options.onMessage();
    }
  } catch (error) {
    return { ...outcome, error: { code: 'fetch', message: String(error), details: [] } };
  }
  throw new Error('Cannot read the end of the stream');
}

function post(
  name: string,
  body: string | Uint8Array<ArrayBuffer>,
  type: string,
  { url, headers, signal }: CallOptions,
): Promise<Response> {
  return fetch(`${url}/${name}`, {
    method: 'POST',
    headers: { ...headers, 'content-type': type },
    body,
    signal,
  });
}

function failure(json: unknown): Failure {
  const { code, message, details = [] }: Error = Object(json);
  return {
    code,
    message,
    details: details.map(({ type, value }) => detailOf(type, base64Decode(value))),
  };
}

interface Error {
  code: string;
  message: string;
  details?: { type: string; value: string }[];
}

function envelope(json: JsonObject): Uint8Array<ArrayBuffer> {
  const message = new TextEncoder().encode(JSON.stringify(json));
  const bytes = new Uint8Array(5 + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, 5);
  return bytes;
}

async function* envelopes({ body }: Response): AsyncGenerator<{ flags: number; json: unknown }> {
  if (!body) return;
  let pending = new Uint8Array();
  for await (const piece of body) {
    const joined = new Uint8Array(pending.length + piece.length);
    joined.set(pending);
    joined.set(piece, pending.length);
    pending = joined;
    while (pending.length >= 5) {
      const view = new DataView(pending.buffer, pending.byteOffset);
      const end = 5 + view.getUint32(1);
      if (pending.length < end) break;
      const json: unknown = JSON.parse(new TextDecoder().decode(pending.subarray(5, end)));
      yield { flags: view.getUint8(0), json };
      pending = pending.subarray(end);
    }
  }
}
