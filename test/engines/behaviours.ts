import { deflateSync, gzipSync } from 'node:zlib';
import { EchoRequest } from '../echo/gen/echo.ts';
import { type Kind, paths } from '../support/kinds.ts';
import { frame, packed } from '../support/raw_client.ts';

/** What a client sends, and the expected outcome. */
export interface Behaviour {
  name: string;
  kind: Kind;
  path: string;
  headers?: Record<string, string>;
  /** The bytes that it sends; then it ends its side, unless `after` says otherwise. */
  body: Buffer;
  after?: 'end' | 'reset' | 'nothing';
  /** The status that the caller gets: a gRPC or HTTP status; empty after a reset by the caller. */
  status: string;
  /** The status of each log line. */
  logged: string[];
  /** The number of handlers that run. */
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
  // The handler of a request stream runs before its messages are read.
  const handled = kind === 'unary' || kind === 'serverStream' ? 0 : 1;
  return {
    name,
    kind,
    path: paths[kind],
    status,
    logged: [status],
    handled,
    ...more,
  };
}

const single = ['unary', 'serverStream'] as const;
const all = ['unary', 'serverStream', 'clientStream', 'bidi'] as const;

/** Every fault that a call can have before its handler, or without it. */
export const behaviours: readonly Behaviour[] = [
  ...single.flatMap((kind) => [
    fault(kind, 'no message', 'UNIMPLEMENTED', { body: none }),
    fault(kind, 'two messages', 'UNIMPLEMENTED', { body: Buffer.concat([message, message]) }),
  ]),
  ...all.flatMap((kind) => [
    fault(kind, 'a truncated message', 'INTERNAL', { body: message.subarray(0, -1) }),
    fault(kind, 'a truncated prefix', 'INTERNAL', { body: message.subarray(0, 3) }),
    fault(kind, 'an invalid protobuf message', 'INTERNAL', {
      body: frame(Buffer.from([0xff, 0xff])),
    }),
    fault(kind, 'a message above the limit', 'RESOURCE_EXHAUSTED', {
      body: frame(Buffer.alloc(100_000)),
    }),
    fault(kind, 'a prefix that announces 4 GiB', 'RESOURCE_EXHAUSTED', {
      body: Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]),
    }),
    fault(kind, 'unknown flags', 'INTERNAL', { body: Buffer.from([2, 0, 0, 0, 0]) }),
    fault(kind, 'compressed, without grpc-encoding', 'INTERNAL', { body: packed(gzipSync(keys)) }),
    fault(kind, 'an unknown encoding', 'UNIMPLEMENTED', {
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
    fault(kind, 'RST_STREAM before the end', '', {
      body: message.subarray(0, 7),
      after: 'reset',
      logged: ['CANCELLED'],
    }),
    fault(kind, 'a deadline that expires before the message', 'DEADLINE_EXCEEDED', {
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
  fault('unary', 'an uncompressed message with grpc-encoding gzip', 'OK', {
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
  fault('unary', 'the HTTP method PUT', 'HTTP 405', {
    body: message,
    headers: { ':method': 'PUT' },
    logged: [],
  }),
];
