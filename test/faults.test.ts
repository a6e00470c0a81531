import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { test } from 'node:test';
import {
  ChannelCredentials,
  createChannel,
  createClient,
  Metadata,
  ServerError,
  Status,
} from 'nice-grpc';
import { createFaultCounts } from '../src/faults/counts.ts';
import type { Fault } from '../src/faults/fault.ts';
import { createFaults } from '../src/faults/middleware.ts';
import { EchoDefinition, EchoReply, EchoRequest } from './echo/gen/echo.ts';
import { engineName, eventually, type Line, serve, type ServeOptions } from './support/harness.ts';
import { kinds, paths } from './support/kinds.ts';
import { connectRaw, frame, type RawClient, unframe } from './support/raw_client.ts';

interface FaultyOptions extends ServeOptions {
  rules?: readonly Fault[];
  max?: number;
  random?: () => number;
}

async function serveFaulty(options: FaultyOptions = {}) {
  const { server, counts } = await start(options);
  return { server, counts, raw: await connectRaw(server.address) };
}

async function start({ rules = [], max = 100, random, ...options }: FaultyOptions) {
  const counts = createFaultCounts();
  const faults = createFaults({ rules, max, counts, hostname: 'pod-1', ...(random && { random }) });
  return { counts, server: await serve({ ...options, faults }) };
}

const texts = ['one', 'two', 'three'];
const request = frame(EchoRequest.encode({ text: 'one' }).finish());
/** A server stream of three messages. */
const echo = {
  async *serverStream() {
    for (const text of texts) yield { text };
  },
};

/** What a client sees of a response. */
interface Seen {
  headers: IncomingHttpHeaders;
  body: Buffer;
  trailers: IncomingHttpHeaders;
  reset: number;
}

function seen(stream: ClientHttp2Stream): Promise<Seen> {
  const chunks: Buffer[] = [];
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  stream
    .on('response', (fields) => (headers = fields))
    .on('trailers', (fields) => (trailers = fields))
    .on('data', (chunk: Buffer) => void chunks.push(chunk));
  return new Promise((resolve) => {
    stream.on('close', () =>
      resolve({ headers, body: Buffer.concat(chunks), trailers, reset: stream.rstCode }),
    );
  });
}

function callRaw(raw: RawClient, fault: string, path = paths.serverStream): Promise<Seen> {
  const stream = raw.open(path, { 'x-greeter-fault': fault });
  const result = seen(stream);
  stream.end(request);
  return result;
}

function textsIn(body: Buffer): string[] {
  return unframe(body).map((message) => EchoReply.decode(message).text);
}

const isOurs = engineName === 'direct';

for (const kind of kinds) {
  test(`status ends a call (${kind}) with a response that clients may retry`, async () => {
    const { server, counts, raw } = await serveFaulty();
    await using _ = server;

    const { headers } = await callRaw(
      raw,
      'status=UNAVAILABLE;message=try%20again;pushback=250ms;retry-info=2s',
      paths[kind],
    );

    raw.close();
    assert.equal(headers['grpc-status'], '14');
    assert.equal(decodeURIComponent(String(headers['grpc-message'])), 'try again');
    assert.equal(headers['grpc-retry-pushback-ms'], '250');
    assert.ok(headers['grpc-status-details-bin']);
    assert.equal(headers['x-greeter-fault-injected'], 'status');
    await server.log.line({ 'rpc.status_code': 'UNAVAILABLE', fault: 'status', level: 30 });
    await eventually('no fault', () => counts.active === 0);
    assert.equal(counts.injected.get('status'), 1);
  });
}

test('a status that is a server fault is logged as asked for', async () => {
  const { server, raw } = await serveFaulty();
  await using _ = server;

  await callRaw(raw, 'status=INTERNAL');

  raw.close();
  await server.log.line({ 'rpc.status_code': 'INTERNAL', fault: 'status', level: 30 });
});

test('status;after=2 ends a stream after two messages', async () => {
  const { server, raw } = await serveFaulty({ echo });
  await using _ = server;

  const { body, trailers } = await callRaw(raw, 'status=ABORTED;after=2');

  raw.close();
  assert.deepEqual(textsIn(body), ['one', 'two']);
  assert.equal(trailers['grpc-status'], '10');
});

test('delay waits before the handler', async () => {
  const { server, raw } = await serveFaulty();
  await using _ = server;
  const startedAt = performance.now();

  const { trailers } = await callRaw(raw, 'delay=30ms..40ms', paths.unary);

  raw.close();
  assert.equal(trailers['grpc-status'], '0');
  assert.ok(performance.now() - startedAt >= 29);
  assert.equal(trailers['x-greeter-fault-injected'], 'delay');
  assert.equal(trailers['x-greeter-fault-overflow'], undefined);
});

test('an invalid fault is INVALID_ARGUMENT that names the entry', async () => {
  const { server, raw } = await serveFaulty();
  await using _ = server;

  const { headers } = await callRaw(raw, 'delay=1ms, status=NO_SUCH');

  raw.close();
  assert.equal(headers['grpc-status'], '3');
  assert.match(decodeURIComponent(String(headers['grpc-message'])), /entry 2, "status=NO_SUCH"/);
});

test('a call without faults has none, and neither have health and its administration', async () => {
  const rules: Fault[] = [{ kind: 'status', code: 14, after: 0 }];
  const { server, raw } = await serveFaulty({ rules });
  await using _ = server;

  const byRule = seen(raw.open(paths.unary).end(request));
  const health = seen(
    raw
      .open('/grpc.health.v1.Health/Check', { 'x-greeter-fault': 'status=ABORTED' })
      .end(frame(Buffer.alloc(0))),
  );
  const update = seen(
    raw
      .open('/grpc.testing.XdsUpdateHealthService/SetServing', { 'x-greeter-fault': 'drop' })
      .end(frame(Buffer.alloc(0))),
  );
  const own = await callRaw(raw, 'delay=1ms', paths.unary);

  assert.equal((await update).trailers['grpc-status'], '0');
  assert.equal((await byRule).headers['grpc-status'], '14');
  assert.equal((await health).trailers['grpc-status'], '0');
  assert.equal(own.trailers['grpc-status'], '0');
  raw.close();
});

test('conditions choose the calls', async () => {
  const { server, raw } = await serveFaulty({ random: () => 0.5 });
  await using _ = server;
  const statusOf = async (fault: string, fields = {}) => {
    const stream = raw.open(paths.unary, { 'x-greeter-fault': fault, ...fields });
    stream.end(request);
    const { headers, trailers } = await seen(stream);
    return headers['grpc-status'] ?? trailers['grpc-status'];
  };

  const third = [];
  for (let call = 0; call < 6; call++) third.push(await statusOf('status=ABORTED;nth=3'));
  const likely = await statusOf('status=ABORTED;p=0.6');
  const unlikely = await statusOf('status=ABORTED;p=0.4');
  const here = await statusOf('status=ABORTED;host=pod-1');
  const elsewhere = await statusOf('status=ABORTED;host=pod-2');
  const first = await statusOf('status=ABORTED;attempts=2');
  const second = await statusOf('status=ABORTED;attempts=2', { 'grpc-previous-rpc-attempts': '1' });
  const last = await statusOf('status=ABORTED;attempts=2', { 'grpc-previous-rpc-attempts': '2' });
  const ofProxy = [];
  for (const count of ['1', '2', '3', 'x']) {
    const headers = { 'x-envoy-attempt-count': count };
    ofProxy.push(await statusOf('status=ABORTED;attempts=2', headers));
  }
  const both = { 'grpc-previous-rpc-attempts': '1', 'x-envoy-attempt-count': '2' };
  const ofBoth = await statusOf('status=ABORTED;attempts=2', both);

  raw.close();
  assert.deepEqual(third, ['0', '0', '10', '0', '0', '10']);
  assert.deepEqual([likely, unlikely, here, elsewhere], ['10', '0', '10', '0']);
  assert.deepEqual([first, second, last], ['10', '10', '0']);
  assert.deepEqual(ofProxy, ['10', '10', '0', '10']);
  assert.equal(ofBoth, '0');
});

test('above the maximum of faults, a call is served unharmed, and counted', async () => {
  const { server, counts, raw } = await serveFaulty({ max: 1 });
  await using _ = server;

  const waiting = raw.open(paths.unary, { 'x-greeter-fault': 'delay=1m' });
  waiting.end(request);
  await eventually('a fault', () => counts.active === 1);
  const { trailers } = await callRaw(raw, 'status=ABORTED', paths.unary);
  waiting.close();

  assert.equal(trailers['grpc-status'], '0');
  assert.equal(trailers['x-greeter-fault-overflow'], '1');
  assert.equal(counts.overflow, 1);
  await eventually('no fault', () => counts.active === 0);
  raw.close();
});

if (isOurs) {
  test('a hanging call ends with its deadline, or when the server shuts down', async () => {
    const { server, raw } = await serveFaulty();
    await using _ = server;

    const late = seen(
      raw.open(paths.unary, { 'x-greeter-fault': 'hang', 'grpc-timeout': '20m' }).end(request),
    );
    const { headers } = await late;
    const open = callRaw(raw, 'hang', paths.unary);
    await eventually('the call', () => server.openCalls.size === 1);
    void server.openCalls.drain();

    assert.equal(headers['grpc-status'], '4');
    assert.equal((await open).headers['grpc-status'], '14');
    raw.close();
  });

  for (const kind of kinds) {
    test(`reset and refuse reset the stream of a call (${kind})`, async () => {
      const { server, raw } = await serveFaulty();
      await using _ = server;

      const cancel = await callRaw(raw, 'reset=CANCEL', paths[kind]);
      const other = await callRaw(raw, 'reset=11', paths[kind]);
      const refused = await callRaw(raw, 'refuse', paths[kind]);

      raw.close();
      assert.deepEqual([cancel.reset, other.reset, refused.reset], [8, 11, 7]);
      assert.deepEqual(cancel.headers, {});
      await server.log.line({ 'rpc.status_code': 'CANCELLED', fault: 'reset', level: 30 });
      await server.log.line({ 'rpc.status_code': 'UNAVAILABLE', fault: 'refuse', level: 30 });
    });

    test(`http responds to a call (${kind}) without gRPC's fields`, async () => {
      const { server, raw } = await serveFaulty();
      await using _ = server;

      const { headers, body } = await callRaw(raw, 'http=503', paths[kind]);

      raw.close();
      assert.equal(headers[':status'], 503);
      assert.equal(headers['grpc-status'], undefined);
      assert.equal(body.length, 0);
      await server.log.line({ 'rpc.status_code': 'UNAVAILABLE', fault: 'http', level: 30 });
    });

    test(`truncate sends half of a message (${kind})`, async () => {
      const { server, raw } = await serveFaulty();
      await using _ = server;

      const { body, trailers } = await callRaw(raw, 'truncate', paths[kind]);

      raw.close();
      const whole = 5 + body.readUInt32BE(1);
      assert.ok(body.length >= 5 && body.length < whole, `${body.length} of ${whole} bytes`);
      assert.deepEqual({ ...trailers }, {});
    });

    test(`garbage cannot be decoded (${kind})`, async () => {
      const { server, raw } = await serveFaulty();
      await using _ = server;

      const { body } = await callRaw(raw, 'garbage', paths[kind]);

      raw.close();
      assert.throws(() => textsIn(body));
    });

    test(`no-status ends a response without trailers (${kind})`, async () => {
      const { server, raw } = await serveFaulty();
      await using _ = server;

      const { body, trailers, reset } = await callRaw(raw, 'no-status', paths[kind]);
      const early = await callRaw(raw, 'no-status;after=0', paths[kind]);

      raw.close();
      assert.deepEqual({ ...trailers }, {});
      assert.equal(reset, 0);
      assert.ok(unframe(body).length > 0);
      assert.equal(early.headers[':status'], 200);
      assert.deepEqual({ ...early.trailers }, {});
      assert.equal(early.body.length, 0);
    });

    test(`a call (${kind}) without a status is UNKNOWN in the log, wherever it ends`, async () => {
      const { server, raw } = await serveFaulty();
      await using _ = server;

      for (const fault of ['no-status', 'no-status;after=0', 'no-status;after=1', 'truncate']) {
        const { trailers } = await callRaw(raw, fault, paths[kind]);
        assert.deepEqual({ ...trailers }, {});
      }

      raw.close();
      const isEnd = ({ fault }: Line) => fault === 'no-status' || fault === 'truncate';
      await eventually('the lines', () => server.log.lines.filter(isEnd).length === 4);
      const codes = server.log.lines.filter(isEnd).map((line) => line['rpc.status_code']);
      assert.deepEqual(codes, ['UNKNOWN', 'UNKNOWN', 'UNKNOWN', 'UNKNOWN']);
    });

    test(`a service that fails ends a call (${kind}) without a status, too`, async () => {
      const fail = () => {
        throw new ServerError(Status.NOT_FOUND, 'none');
      };
      const failing = { unary: fail, serverStream: fail, clientStream: fail, bidi: fail };
      const { server, raw } = await serveFaulty({ echo: failing });
      await using _ = server;

      const { headers, trailers } = await callRaw(raw, 'no-status', paths[kind]);

      raw.close();
      assert.equal(headers[':status'], 200);
      assert.equal(headers['grpc-status'], undefined);
      assert.deepEqual({ ...trailers }, {});
    });

    test(`big and truncate apply in their order (${kind})`, async () => {
      const { server, raw } = await serveFaulty();
      await using _ = server;

      const half = await callRaw(raw, 'big=1KiB,truncate', paths[kind]);
      const corrupt = await callRaw(raw, 'big=1KiB,corrupt-compression', paths[kind]);
      const twice = await callRaw(raw, 'big=1KiB,big=1KiB', paths[kind]);

      raw.close();
      const announced = half.body.readUInt32BE(1);
      assert.ok(announced > 1024);
      assert.equal(half.body.length, 5 + Math.floor(announced / 2));
      assert.deepEqual({ ...half.trailers }, {});
      assert.equal(corrupt.body[0], 1);
      assert.ok(corrupt.body.length > 1024);
      assert.ok(textsIn(twice.body).length > 0 && twice.body.length > 2048);
      await server.log.line({ fault: 'big,truncate' });
    });

    test(`corrupt-compression announces a message as compressed (${kind})`, async () => {
      const { server, raw } = await serveFaulty();
      await using _ = server;

      const { headers, body } = await callRaw(raw, 'corrupt-compression', paths[kind]);

      raw.close();
      assert.equal(headers['grpc-encoding'], 'gzip');
      assert.equal(body[0], 1);
      assert.notEqual(body.readUInt16BE(5), 0x1f8b);
    });

    test(`big adds an unknown field to a message (${kind})`, async () => {
      const { server, raw } = await serveFaulty();
      await using _ = server;

      const { body, trailers } = await callRaw(raw, 'big=1MiB', paths[kind]);

      raw.close();
      assert.ok(body.length > 1024 ** 2 && body.length < 1024 ** 2 + 100);
      assert.ok(textsIn(body).length > 0);
      assert.equal(trailers['grpc-status'], '0');
    });
  }

  test('reset;after=1 resets a unary call after its message', async () => {
    const { server, raw } = await serveFaulty();
    await using _ = server;

    const { body, reset } = await callRaw(raw, 'reset=INTERNAL_ERROR;after=1', paths.unary);
    const failed = await callRaw(raw, 'status=DATA_LOSS;after=1', paths.unary);

    raw.close();
    assert.deepEqual(textsIn(body), ['one']);
    assert.equal(reset, 2);
    assert.deepEqual(textsIn(failed.body), ['one']);
    assert.equal(failed.trailers['grpc-status'], '15');
    await server.log.line({ 'rpc.status_code': 'DATA_LOSS', fault: 'status', level: 30 });
  });

  test('the headers list the faults that can be due, and the trailers those that were injected', async () => {
    const { server, raw } = await serveFaulty();
    await using _ = server;
    const name = 'x-greeter-fault-injected';

    const unary = await callRaw(raw, 'delay=1ms,status=14;after=2,pause=1ms', paths.unary);
    const stream = await callRaw(raw, 'delay=1ms,status=14;after=9', paths.serverStream);
    const half = await callRaw(raw, 'truncate', paths.unary);

    raw.close();
    assert.deepEqual([unary.headers[name], unary.trailers[name]], ['delay', 'delay']);
    assert.deepEqual([stream.headers[name], stream.trailers[name]], ['delay,status', 'delay']);
    assert.deepEqual([half.headers[name], half.trailers[name]], ['truncate', undefined]);
  });

  test('hedging succeeds with the second attempt', async () => {
    const { server } = await start({ tls: false });
    await using _ = server;
    const hedgingPolicy = { maxAttempts: 2, hedgingDelay: '0.05s' };
    const config = { methodConfig: [{ name: [{}], hedgingPolicy }], loadBalancingConfig: [] };
    const options = { 'grpc.service_config': JSON.stringify(config) };
    const channel = createChannel(server.address, ChannelCredentials.createInsecure(), options);
    const client = createClient(EchoDefinition, channel);

    const metadata = Metadata({ 'x-greeter-fault': 'hang;attempts=1' });
    const reply = await client.unary({ text: 'one' }, { metadata });

    channel.close();
    assert.equal(reply.text, 'one');
    await server.log.line({ 'rpc.status_code': 'CANCELLED', fault: 'hang' });
  });

  test('drop closes the connection', async () => {
    const { server, raw } = await serveFaulty();
    await using _ = server;
    raw.session.on('error', () => {});
    const closed = new Promise((resolve) => raw.session.once('close', resolve));

    void callRaw(raw, 'drop');

    await closed;
    await server.log.line({ 'rpc.status_code': 'UNAVAILABLE', fault: 'drop' });
    await eventually('no connection', () => server.counts().connections === 0);
  });

  test('goaway lets the call finish', async () => {
    const { server, raw } = await serveFaulty({ echo });
    await using _ = server;
    const goAway = once(raw.session, 'goaway');

    const { body, trailers } = await callRaw(raw, 'goaway;after=1');

    const [code] = await goAway;
    assert.equal(code, 0);
    assert.deepEqual(textsIn(body), texts);
    assert.equal(trailers['grpc-status'], '0');
    raw.close();
  });

  test('pause waits between the messages of a stream', async () => {
    const { server, raw } = await serveFaulty({ echo });
    await using _ = server;
    const startedAt = performance.now();

    const { body } = await callRaw(raw, 'pause=20ms');

    raw.close();
    assert.deepEqual(textsIn(body), texts);
    assert.ok(performance.now() - startedAt >= 38);
  });

  test('rate limits the bytes of a second', async () => {
    const { server, raw } = await serveFaulty({
      echo: { unary: async () => ({ text: 'x'.repeat(3000) }) },
    });
    await using _ = server;
    const startedAt = performance.now();

    const { body } = await callRaw(raw, 'rate=10KiB', paths.unary);

    raw.close();
    assert.equal(textsIn(body)[0]?.length, 3000);
    // All but the last of the parts take their time.
    assert.ok(performance.now() - startedAt >= 200);
  });
} else {
  test('on grpc-js, other faults than status and delay are UNIMPLEMENTED', async () => {
    const { server, raw } = await serveFaulty();
    await using _ = server;

    const { headers } = await callRaw(raw, 'reset=CANCEL');

    raw.close();
    assert.equal(headers['grpc-status'], '12');
    assert.match(String(headers['grpc-message']), /grpc-js/);
  });

  test('on grpc-js, the message of a unary call is sent with its status', async () => {
    const { server, raw } = await serveFaulty();
    await using _ = server;

    const { headers } = await callRaw(raw, 'status=14;after=1', paths.unary);

    raw.close();
    assert.equal(headers['grpc-status'], '12');
    assert.match(
      decodeURIComponent(String(headers['grpc-message'])),
      /Cannot inject status after the only message on the engine grpc-js/,
    );
  });
}
