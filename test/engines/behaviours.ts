import { deflateSync, gzipSync } from 'node:zlib';
import { EchoRequest } from '../echo/gen/echo.ts';
import { type Kind, paths } from '../support/kinds.ts';
import { frame, packed } from '../support/raw_client.ts';

/** Something that a client does on the wire, and what becomes of it. */
export interface Behaviour {
  name: string;
  path: string;
  headers?: Record<string, string>;
  /** What it sends; it ends its side after that, unless it says otherwise. */
  body: Buffer;
  after?: 'end' | 'reset' | 'nothing';
  /** The status that the caller sees: a code, or that of HTTP; none after it has reset. */
  status: string;
  /** The code of each line in the log. */
  logged: string[];
  /** How many handlers run. */
  handled: number;
}

const keys = EchoRequest.encode({ text: 'Bello Keys' }).finish();
const message = frame(keys);
const none = Buffer.alloc(0);

function fault(
  kind: Kind,
  name: string,
  status: string,
  more: Partial<Behaviour> & { body: Buffer },
): Behaviour {
  // What only shows in a message that is streamed comes when the handler is at work.
  const handled = kind === 'unary' || kind === 'serverStream' ? 0 : 1;
  return {
    name: `${name} (${kind})`,
    path: paths[kind],
    status,
    logged: [status],
    handled,
    ...more,
  };
}

const single = ['unary', 'serverStream'] as const;
const all = ['unary', 'serverStream', 'clientStream', 'bidi'] as const;

/** Every fault that a call can have before, or without, a handler's doing. */
export const behaviours: readonly Behaviour[] = [
  ...single.flatMap((kind) => [
    fault(kind, 'no message', 'UNIMPLEMENTED', { body: none }),
    fault(kind, 'two messages', 'UNIMPLEMENTED', { body: Buffer.concat([message, message]) }),
  ]),
  ...all.flatMap((kind) => [
    fault(kind, 'a message cut short', 'INTERNAL', { body: message.subarray(0, -1) }),
    fault(kind, 'a prefix cut short', 'INTERNAL', { body: message.subarray(0, 3) }),
    fault(kind, 'a message that is no protobuf', 'INTERNAL', {
      body: frame(Buffer.from([0xff, 0xff])),
    }),
    fault(kind, 'a message above the limit', 'RESOURCE_EXHAUSTED', {
      body: frame(Buffer.alloc(100_000)),
    }),
    fault(kind, 'a message that says it has 4 GiB', 'RESOURCE_EXHAUSTED', {
      body: Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]),
    }),
    fault(kind, 'flags that nobody knows', 'INTERNAL', { body: Buffer.from([2, 0, 0, 0, 0]) }),
    fault(kind, 'compressed, and no encoding named', 'INTERNAL', { body: packed(gzipSync(keys)) }),
    fault(kind, 'an encoding that nobody knows', 'UNIMPLEMENTED', {
      body: packed(keys),
      headers: { 'grpc-encoding': 'brotli' },
      handled: 0,
    }),
    fault(kind, 'corrupt gzip', 'INTERNAL', {
      body: packed(Buffer.from('this is no gzip')),
      headers: { 'grpc-encoding': 'gzip' },
    }),
    fault(kind, 'a zip bomb', 'RESOURCE_EXHAUSTED', {
      body: packed(gzipSync(Buffer.alloc(10_000_000))),
      headers: { 'grpc-encoding': 'gzip' },
    }),
    fault(kind, 'a malformed grpc-timeout', 'INTERNAL', {
      body: message,
      headers: { 'grpc-timeout': 'soon' },
      handled: 0,
    }),
    fault(kind, 'a reset before the end', '', {
      body: message.subarray(0, 7),
      after: 'reset',
      logged: ['CANCELLED'],
    }),
    fault(kind, 'a deadline before the message', 'DEADLINE_EXCEEDED', {
      body: none,
      headers: { 'grpc-timeout': '30m' },
      after: 'nothing',
    }),
  ]),
  fault('unary', 'a message compressed with gzip', 'OK', {
    body: packed(gzipSync(keys)),
    headers: { 'grpc-encoding': 'gzip' },
    handled: 1,
  }),
  fault('unary', 'a message compressed with deflate', 'OK', {
    body: packed(deflateSync(keys)),
    headers: { 'grpc-encoding': 'deflate' },
    handled: 1,
  }),
  fault('unary', 'a plain message where gzip is named', 'OK', {
    body: message,
    headers: { 'grpc-encoding': 'gzip' },
    handled: 1,
  }),
  fault('unary', 'the longest grpc-timeout', 'OK', {
    body: message,
    headers: { 'grpc-timeout': '99999999H' },
    handled: 1,
  }),
  ...['/echo.Echo/Nope', '/no.Service/Unary', '/nope'].map((path) => ({
    ...fault('unary', `the path ${path}`, 'UNIMPLEMENTED', { body: message }),
    path,
  })),
  fault('unary', 'a content type that is not gRPC', 'HTTP 415', {
    body: message,
    headers: { 'content-type': 'text/html' },
    logged: [],
  }),
  fault('unary', 'another verb', 'HTTP 405', {
    body: message,
    headers: { ':method': 'PUT' },
    logged: [],
  }),
];
