import type { Client } from 'nice-grpc';
import {
  Reply,
  type ScriptDefinition,
  type ScriptReply,
  ScriptRequest,
  type DeepPartial,
} from '../echo/gen/echo.ts';
import type { Kind } from './kinds.ts';
import { frame } from './raw_client.ts';

/** The path of the script service's method of each kind. */
export const scriptPaths: Record<Kind, string> = {
  unary: '/echo.Script/Unary',
  serverStream: '/echo.Script/ServerStream',
  clientStream: '/echo.Script/ClientStream',
  bidi: '/echo.Script/Bidi',
};

type ScriptClient = Client<typeof ScriptDefinition>;
type CallOptions = Parameters<ScriptClient['unary']>[1];

/** A reply with so many bytes, and the pause before it. */
export function reply(size: number, more: Partial<Reply> = {}): Reply {
  return Reply.fromPartial({ size, ...more });
}

/** Three replies of 1, 2 and 3 bytes, with a pause before all but the first. */
export function threeReplies(pauseMs: number): ScriptRequest {
  const replies = [1, 2, 3].map((size) => reply(size, { pauseMs: size === 1 ? 0 : pauseMs }));
  return ScriptRequest.fromPartial({ replies });
}

/** A request for one reply of so many bytes. */
export function ping(size = 1): ScriptRequest {
  return ScriptRequest.fromPartial({ replies: [reply(size)] });
}

/** A request stream with one message that does not end. */
export async function* unendingPing(): AsyncGenerator<ScriptRequest> {
  yield ping();
  await new Promise(() => {});
}

/** Calls the method of a kind; streams send `requests`, and a server stream pauses for so many milliseconds. */
export function callScript(
  client: ScriptClient,
  kind: Kind,
  {
    requests = one(ping()),
    pauseMs = 0,
    ...options
  }: CallOptions & {
    requests?: AsyncIterable<ScriptRequest>;
    pauseMs?: number;
  } = {},
): Promise<unknown[]> {
  const calls: Record<Kind, () => Promise<unknown[]>> = {
    unary: () => client.unary(ping(), options).then((reply) => [reply]),
    serverStream: () => Array.fromAsync(client.serverStream(threeReplies(pauseMs), options)),
    clientStream: () => client.clientStream(requests, options).then((reply) => [reply]),
    bidi: () => Array.fromAsync(client.bidi(requests, options)),
  };
  return calls[kind]();
}

/** The size of a reply's payload in bytes. */
export function sizeOf({ payload }: Partial<ScriptReply>): number | undefined {
  return payload?.length;
}

/** An encoded request with its prefix. */
export function scriptRequest(request: DeepPartial<ScriptRequest>): Buffer {
  return frame(ScriptRequest.encode(ScriptRequest.fromPartial(request)).finish());
}

async function* one<T>(value: T): AsyncGenerator<T> {
  yield value;
}
