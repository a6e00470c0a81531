import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'nice-grpc';
import { Metadata, ServerError, Status } from 'nice-grpc-common';
import { block, plain } from '../../test/hpack/blocks.ts';
import { greeting } from '../../test/http2_attacks/attacker.ts';
import { frameOf } from '../../test/support/http2_peer.ts';
import { frame } from '../../test/support/raw_client.ts';
import { dialSocket } from '../../test/support/tls.ts';
import { Flag, FrameType } from '../engine/http2/frames.ts';
import { engineName, serve, until } from '../../test/support/harness.ts';
import {
  call,
  failing,
  kinds,
  rpcMethods,
  paths,
  unending,
  waiting,
} from '../../test/support/kinds.ts';
import { serveTraced, type Traced } from '../../test/support/traced.ts';
import type { Call } from '../context.ts';
import { PingDefinition } from '../../test/echo/gen/echo.ts';

/** The span and the log line of the only call, which agree; with the code and the span's status. */
async function ended({ running, spans }: Traced, method: string) {
  const line = await running.log.line({ 'rpc.method': method });
  const [span, ...others] = await spans();
  assert.ok(span);
  assert.deepEqual(others, []);
  assert.deepEqual([line['trace_id'], line['span_id']], [span.traceId, span.spanId]);
  assert.equal(span.attributes['rpc.status_code'], line['rpc.status_code']);
  return { span, code: line['rpc.status_code'] };
}

for (const kind of kinds) {
  test(`trace() creates one span for a ${kind} call that succeeds`, async () => {
    await using traced = await serveTraced();

    await call(traced.running.client, kind);

    const { span, code } = await ended(traced, rpcMethods[kind]);
    const [address, port] = traced.running.address.split(':');
    const { 'network.peer.port': peerPort, ...attributes } = span.attributes;
    assert.equal(code, 'OK');
    assert.equal(span.name, rpcMethods[kind]);
    assert.equal(span.kind, 2);
    assert.deepEqual(span.status, { code: 0 });
    assert.equal(span.parentSpanId, undefined);
    assert.ok(Number(peerPort) > 0);
    assert.deepEqual(attributes, {
      'rpc.system.name': 'grpc',
      'rpc.method': rpcMethods[kind],
      'rpc.status_code': 'OK',
      'network.peer.address': '127.0.0.1',
      // grpc-js does not expose the authority.
      ...(engineName === 'direct' && { 'server.address': address, 'server.port': Number(port) }),
    });
    assert.partialDeepStrictEqual(span.resource, {
      'service.name': 'greeter',
      'service.version': '1.2.3',
      'telemetry.sdk.name': 'opentelemetry',
    });
  });

  test(`trace() ends the span of a ${kind} call that fails by its caller's fault without an error`, async () => {
    const notFound = () => new ServerError(Status.NOT_FOUND, 'no');
    await using traced = await serveTraced({ echo: failing(notFound) });

    await assert.rejects(call(traced.running.client, kind), { code: Status.NOT_FOUND });

    const { span, code } = await ended(traced, rpcMethods[kind]);
    assert.equal(code, 'NOT_FOUND');
    assert.deepEqual(span.status, { code: 0 });
    assert.equal(span.attributes['error.type'], undefined);
  });

  test(`trace() ends the span of a ${kind} call with a server fault as an error, without its cause`, async () => {
    await using traced = await serveTraced({ echo: failing(() => new Error('no such table')) });

    await assert.rejects(call(traced.running.client, kind), { code: Status.INTERNAL });

    const { span, code } = await ended(traced, rpcMethods[kind]);
    assert.equal(code, 'INTERNAL');
    assert.deepEqual(span.status, { code: 2, message: 'Internal error' });
    assert.equal(span.attributes['error.type'], 'INTERNAL');
    assert.doesNotMatch(JSON.stringify(span), /no such table/);
  });

  test(`trace() ends the span of a ${kind} call that its caller cancels`, async () => {
    await using traced = await serveTraced({ echo: waiting() });
    const { running } = traced;
    const cancel = new AbortController();
    const { signal } = cancel;
    const cancelled = call(running.client, kind, { signal, requests: unending() });
    await Promise.race([cancelled, until(() => running.openCalls.inChain === 1)]);

    cancel.abort();

    await assert.rejects(cancelled, { name: 'AbortError' });
    const { span, code } = await ended(traced, rpcMethods[kind]);
    assert.equal(code, 'CANCELLED');
    assert.deepEqual(span.status, { code: 0 });
  });

  test(`trace() ends the span of a ${kind} call whose caller's deadline expires`, async () => {
    await using traced = await serveTraced({ echo: waiting() });
    const metadata = Metadata({ 'grpc-timeout': '50m' });

    const late = call(traced.running.client, kind, { metadata, requests: unending() });
    await assert.rejects(late, { code: Status.DEADLINE_EXCEEDED });

    const { code } = await ended(traced, rpcMethods[kind]);
    assert.equal(code, 'DEADLINE_EXCEEDED');
  });

  test(`trace() ends the span of a ${kind} call whose server deadline expires`, async () => {
    await using traced = await serveTraced({
      echo: waiting(),
      deadlines: { max: 20, fallback: 20 },
    });

    const late = call(traced.running.client, kind, { requests: unending() });
    await assert.rejects(late, { code: Status.DEADLINE_EXCEEDED });

    const { span, code } = await ended(traced, rpcMethods[kind]);
    assert.equal(code, 'DEADLINE_EXCEEDED');
    assert.deepEqual(span.status, { code: 2, message: 'Deadline exceeded' });
  });
}

test('trace() ends the span of a cancelled call that responds anyway, with the logged status', async () => {
  await using traced = await serveTraced({
    echo: {
      async unary(_request, { signal }) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        return {};
      },
    },
  });
  const { running } = traced;
  const cancel = new AbortController();
  const cancelled = call(running.client, 'unary', { signal: cancel.signal });
  await until(() => running.openCalls.inChain === 1);

  cancel.abort();

  await assert.rejects(cancelled, { name: 'AbortError' });
  const { code } = await ended(traced, rpcMethods.unary);
  assert.equal(code, 'CANCELLED');
});

// On grpc-js they are answered before any middleware.
test('trace() does not name the span of an unknown method after its path', async () => {
  await using traced = await serveTraced({ engine: 'direct' });
  const nobody = { ...PingDefinition, fullName: 'nobody.Knows' } as const;

  const unknown = createClient(nobody, traced.running.channel).ping({});
  await assert.rejects(unknown, { code: Status.UNIMPLEMENTED });

  const { span, code } = await ended(traced, '_OTHER');
  assert.equal(code, 'UNIMPLEMENTED');
  assert.equal(span.name, 'grpc');
  assert.equal(span.status.code, 2);
  assert.partialDeepStrictEqual(span.attributes, {
    'rpc.method': '_OTHER',
    'rpc.method_original': 'nobody.Knows/Ping',
    'error.type': 'UNIMPLEMENTED',
  });
});

// The engine refuses it before there is a request to decode.
test('trace() creates a span for a call that cannot be served', async () => {
  await using traced = await serveTraced({ engine: 'direct' });
  const metadata = Metadata({ 'grpc-timeout': 'soon' });

  const faulted = call(traced.running.client, 'unary', { metadata });
  await assert.rejects(faulted, { code: Status.INTERNAL });

  const { span, code } = await ended(traced, rpcMethods.unary);
  assert.equal(code, 'INTERNAL');
  assert.equal(span.name, 'echo.Echo/Unary');
});

const parent = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const traceparent = `00-${parent.traceId}-${parent.spanId}-01`;

test("trace() reads the parent and the tracestate from the caller's headers", async () => {
  await using traced = await serveTraced();
  const metadata = Metadata({ traceparent, tracestate: 'congo=t61rcWkgMzE,rojo=1' });

  await call(traced.running.client, 'unary', { metadata });

  const { span } = await ended(traced, rpcMethods.unary);
  assert.equal(span.traceId, parent.traceId);
  assert.equal(span.parentSpanId, parent.spanId);
  assert.equal(span.traceState, 'congo=t61rcWkgMzE,rojo=1');
});

for (const malformed of [
  'nonsense',
  `00-${'0'.repeat(32)}-${parent.spanId}-01`,
  `00-${parent.traceId}-${'0'.repeat(16)}-01`,
  `ff-${parent.traceId}-${parent.spanId}-01`,
  `${traceparent}-more`,
  traceparent.toUpperCase(),
]) {
  test(`trace() starts a new trace if the caller's is "${malformed}"`, async () => {
    await using traced = await serveTraced();
    const metadata = Metadata({ traceparent: malformed });

    await call(traced.running.client, 'unary', { metadata });

    const { span } = await ended(traced, rpcMethods.unary);
    assert.match(span.traceId, /^[\da-f]{32}$/);
    assert.notEqual(span.traceId, parent.traceId);
    assert.equal(span.parentSpanId, undefined);
  });
}

const laterVersion = `01-${parent.traceId}-${parent.spanId}-01-more`;
for (const [version, first] of [
  ['00', traceparent],
  ['01', laterVersion],
] as const) {
  test(`trace() starts a new trace if the caller sends two parents of version ${version}`, async () => {
    await using traced = await serveTraced();
    const { socket } = dialSocket(traced.running.address);
    const fields = block(
      plain(':method', 'POST'),
      plain(':path', paths.unary),
      plain(':scheme', 'http'),
      plain(':authority', 'localhost'),
      plain('content-type', 'application/grpc'),
      plain('te', 'trailers'),
      // Node's client would join them.
      plain('traceparent', first),
      plain('traceparent', first.replace('-b7', '-c7')),
    );
    const headers = frameOf(FrameType.HEADERS, Flag.END_HEADERS, 1, fields);
    const body = frameOf(FrameType.DATA, Flag.END_STREAM, 1, frame(Buffer.alloc(0)));

    socket.write(Buffer.concat([greeting(), headers, body]));
    const { span } = await ended(traced, rpcMethods.unary);
    socket.destroy();

    assert.notEqual(span.traceId, parent.traceId);
    assert.equal(span.parentSpanId, undefined);
  });
}

test('trace() accepts a parent of a later version with additional fields', async () => {
  await using traced = await serveTraced();

  await call(traced.running.client, 'unary', { metadata: Metadata({ traceparent: laterVersion }) });

  const { span } = await ended(traced, rpcMethods.unary);
  assert.equal(span.parentSpanId, parent.spanId);
});

test("trace() sends no span of an unsampled trace, and the log has the caller's IDs", async () => {
  await using traced = await serveTraced();
  const metadata = Metadata({ traceparent: traceparent.replace(/01$/, '00') });

  await call(traced.running.client, 'unary', { metadata });

  const line = await traced.running.log.line({ 'rpc.method': rpcMethods.unary });
  assert.equal(line['trace_id'], parent.traceId);
  assert.match(String(line['span_id']), /^[\da-f]{16}$/);
  assert.deepEqual(await traced.spans(), []);
});

for (const [sampler, samplerRatio, count] of [
  ['always_off', 1, 0],
  ['always_on', 0, 1],
  ['traceidratio', 0, 0],
  ['traceidratio', 1, 1],
  ['parentbased_always_off', 1, 0],
  ['parentbased_traceidratio', 0, 0],
  ['parentbased_traceidratio', 1, 1],
] as const) {
  test(`createTracing() sends ${count} of one span with the sampler ${sampler} ${samplerRatio}`, async () => {
    await using traced = await serveTraced({}, { sampler, samplerRatio });

    await call(traced.running.client, 'unary');

    assert.equal((await traced.spans()).length, count);
  });
}

test("trace() passes the span to the service, and its IDs to the service's log lines", async () => {
  await using traced = await serveTraced({
    echo: {
      async unary(_request, { log, span }) {
        span?.setAttribute('greeting.kind', 'warm');
        log.info('here');
        return {};
      },
    },
  });

  await traced.running.client.unary({});

  const line = await traced.running.log.line({ msg: 'here' });
  const [span] = await traced.spans();
  assert.equal(span?.attributes['greeting.kind'], 'warm');
  assert.deepEqual([line['trace_id'], line['span_id']], [span?.traceId, span?.spanId]);
});

test('trace() truncates attributes if a limit is set', async () => {
  const echo = {
    async unary(_request: object, { span }: Call) {
      span?.setAttribute('greeting.text', 'Bello Keys');
      return {};
    },
  };
  await using traced = await serveTraced(
    { echo },
    { spanLimits: { attributeValueLengthLimit: 5 } },
  );

  await traced.running.client.unary({});

  const [span] = await traced.spans();
  assert.equal(span?.attributes['greeting.text'], 'Bello');
});

test('a chain without trace() creates no spans, and its log lines have no IDs', async () => {
  const spans: unknown[] = [];
  await using running = await serve({
    echo: {
      async unary(_request, { span }) {
        spans.push(span);
        return {};
      },
    },
  });

  await call(running.client, 'unary', { metadata: Metadata({ traceparent }) });

  const line = await running.log.line({ 'rpc.method': rpcMethods.unary });
  assert.deepEqual(spans, [undefined]);
  assert.deepEqual(
    Object.keys(line).filter((key) => ['trace_id', 'span_id'].includes(key)),
    [],
  );
});
