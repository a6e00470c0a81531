import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type Tracer,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { type CallContext, type Metadata, type ServerMiddleware, Status } from 'nice-grpc-common';
import type { Timed, Traced, WithAuthority, WithProtocol } from '../context.ts';
import { serverErrorStatus } from '../engine/errors.ts';
import { methodName, otherMethod } from '../observability/method_names.ts';

/** Dependencies of tracing. */
export interface TraceOptions {
  tracer: Tracer;
  /** The paths of all served methods: `/package.Service/Method`. */
  methods: Iterable<string>;
}

/**
 * Creates a span for every call, with the parent of the caller's traceparent. The request log, which runs inside of
 * it, ends the span with the logged status. Attributes follow OpenTelemetry's semantic conventions for RPC, stable
 * since 1.45, which no longer have message events or client addresses:
 * https://opentelemetry.io/docs/specs/semconv/rpc/grpc, https://opentelemetry.io/docs/specs/semconv/rpc/connect-rpc. Codes
 * have gRPC's names in both.
 */
export function trace({ tracer, methods }: TraceOptions) {
  const paths = [...methods];
  const knownTo = (system: System) =>
    new Map(paths.map((path) => [path, knownMethod(path, system)]));
  const known = { grpc: knownTo('grpc'), connectrpc: knownTo('connectrpc') };
  const propagator = new W3CTraceContextPropagator();

  const middleware: ServerMiddleware<Traced, Timed & WithAuthority & WithProtocol> = (
    call,
    context,
  ) => {
    const { path } = call.method;
    const system = context.protocol === 'connect' ? 'connectrpc' : 'grpc';
    const { name, attributes } = known[system].get(path) ?? unknownMethod(path, system);
    const parent = propagator.extract(ROOT_CONTEXT, context.metadata, metadataGetter);
    const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parent);
    // A span that is not sampled still has IDs for the log, and costs little.
    if (!span.isRecording()) return call.next(call.request, { ...context, span });
    describePeers(span, context);
    const endSpan = (how: Ended) => endAs(span, how);
    return call.next(call.request, { ...context, span, endSpan });
  };
  return middleware;
}

/** The systems of the conventions that a call may belong to; gRPC-Web counts as gRPC. */
type System = 'grpc' | 'connectrpc';

interface MethodNames {
  name: string;
  attributes: Attributes;
}

function knownMethod(path: string, system: System): MethodNames {
  const name = methodName(path);
  return { name, attributes: { 'rpc.system.name': system, 'rpc.method': name } };
}

/** Unknown paths are not used as span names, as callers can make up any number of them. */
function unknownMethod(path: string, system: System): MethodNames {
  const attributes = { 'rpc.method': otherMethod, 'rpc.method_original': methodName(path) };
  return { name: system, attributes: { 'rpc.system.name': system, ...attributes } };
}

const metadataGetter: TextMapGetter<Metadata> = {
  keys: (metadata) => Array.from(metadata, ([key]) => key),
  get(metadata, key) {
    const value = metadata.get(key);
    // Repeated header fields are joined. Two traceparents are ambiguous, and of a future version the propagator would
    // take the first.
    if (typeof value !== 'string' || (key === 'traceparent' && value.includes(',')))
      return undefined;
    return value;
  },
};

function describePeers(span: Span, { authority, peer }: CallContext & WithAuthority): void {
  const server = authority === undefined ? undefined : hostAndPort(authority);
  if (server?.host) span.setAttribute('server.address', server.host);
  if (server?.port) span.setAttribute('server.port', server.port);
  const { host, port } = hostAndPort(peer);
  // A unix socket has no port, and its client no address.
  if (!port) return;
  span.setAttribute('network.peer.address', host);
  span.setAttribute('network.peer.port', port);
}

/** Hostnames have at most 253 characters. */
const longestHost = 255;

/** Splits `HOST:PORT` or `[V6]:PORT`; the port is optional. */
function hostAndPort(text: string): { host: string; port: number | undefined } {
  const colon = text.lastIndexOf(':');
  const number = colon < 0 ? 0 : Number(text.slice(colon + 1));
  const port = number > 0 && number <= 65_535 ? number : undefined;
  const host = port === undefined ? text : text.slice(0, colon);
  const isV6 = host.startsWith('[') && host.endsWith(']');
  return { host: (isV6 ? host.slice(1, -1) : host).slice(0, longestHost), port };
}

/** Codes that the conventions define as server errors; the others are the caller's. */
const faults: ReadonlySet<Status> = new Set([
  Status.UNKNOWN,
  Status.DEADLINE_EXCEEDED,
  Status.UNIMPLEMENTED,
  Status.INTERNAL,
  Status.UNAVAILABLE,
  Status.DATA_LOSS,
]);

type Ended = Parameters<NonNullable<Traced['endSpan']>>[0];

function endAs(span: Span, { ended, code }: Ended): void {
  span.setAttribute('rpc.status_code', Status[code] ?? String(code));
  if (faults.has(code)) {
    span.setAttribute('error.type', Status[code]);
    // What the caller gets; the cause is in the log.
    const status = serverErrorStatus(ended);
    const message = status ? { message: status.details } : {};
    span.setStatus({ code: SpanStatusCode.ERROR, ...message });
  }
  span.end();
}
