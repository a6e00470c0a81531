import {
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromJson,
  type JsonObject,
  type JsonValue,
  toJson,
} from '@bufbuild/protobuf';
import type { Transport } from '@connectrpc/connect';
import { allDescriptors } from '../echo/descriptors.ts';

/** The result of a call. */
export interface Answer {
  /** The response messages, as JSON. */
  messages: JsonValue[];
  header: Headers;
  trailer: Headers;
}

interface CallOptions {
  headers?: Record<string, string>;
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** Calls `package.Service/Method` with requests in JSON, over a transport of a Connect client. */
export async function callOver(
  transport: Transport,
  name: string,
  { requests, headers, timeoutMs, signal }: CallOptions & { requests: JsonObject[] },
): Promise<Answer> {
  const method = methodOf(name);
  const inputs = requests.map((request) => fromJson(method.input, request));
  if (isUnary(method)) {
    const [input] = inputs;
    if (!input) throw new Error(`Cannot call ${name} without a request`);
    const { message, header, trailer } = await transport.unary(
      method,
      signal,
      timeoutMs,
      headers,
      input,
    );
    return { messages: [toJson(method.output, message)], header, trailer };
  }
  if (!isStream(method)) throw new Error(`Cannot call ${name}`);
  const response = await transport.stream(method, signal, timeoutMs, headers, each(inputs));
  const messages: JsonValue[] = [];
  for await (const message of response.message) messages.push(toJson(method.output, message));
  return { messages, header: response.header, trailer: response.trailer };
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

function methodOf(name: string): DescMethod {
  const [service = '', method] = name.split('/');
  const found = allDescriptors()
    .getService(service)
    ?.methods.find((each) => each.name === method);
  if (!found) throw new Error(`Cannot find method ${name}`);
  return found;
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === 'unary';
}

function isStream(method: DescMethod): method is DescMethodStreaming {
  return method.methodKind !== 'unary';
}
