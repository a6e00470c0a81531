// oxlint-disable oxc/no-async-endpoint-handlers -- this is no Express
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { ServerError, type ServerMiddlewareCall, Status } from 'nice-grpc-common';
import { pino } from 'pino';
import type { Call } from '../../src/context.ts';
import type { EngineContext } from '../../src/engine/grpc/context.ts';
import { reasons } from '../../src/engine/grpc/end_reason.ts';
import { type OpenCall, OpenCalls } from '../../src/engine/grpc/open_calls.ts';
import { serverOn } from '../../src/engine/grpc/server.ts';
import { Flag } from '../../src/engine/http2/frames.ts';
import { createHpackDecoder } from '../../src/engine/http2/hpack/decoder.ts';
import { encodeHeaders } from '../../src/engine/http2/hpack/encoder.ts';
import { encodeSettings, SettingId } from '../../src/engine/http2/settings.ts';
import { type EchoReply, EchoRequest } from '../echo/gen/echo.ts';
import { createCallCounts } from '../../src/observability/call_counts.ts';
import { buildServer } from '../../src/transport/server.ts';
import { memoryLog, methods, servicesOf, until } from '../support/harness.ts';
import { createPeer, type Peer, word } from '../support/http2_peer.ts';
import { paths } from '../support/kinds.ts';
import { frame } from '../support/raw_client.ts';
import { createHttp2Server, createRouter } from '../support/engine.ts';

const kinds = ['unary', 'serverStream'] as const;
/** The phase of a call when it is ended. */
const phases = ['waiting for its request', 'in its handler', 'sending its response'] as const;
type Phase = (typeof phases)[number];

const request = frame(EchoRequest.encode({ text: 'Bello Keys' }).finish());
const timeoutMs = 1000;

/** A cause of the end of a call, and its outcome. */
interface Row {
  end(call: OpenedCall): void;
  /** True if the handler ends it: then all of its responses must arrive. */
  isReturned?: true;
  /** The phases in which it can occur; all by default. */
  in?: readonly Phase[];
  /** What the caller gets: a status, or the end of the stream. */
  seen: keyof typeof Status | 'RST_STREAM' | 'nothing';
  logged?: keyof typeof Status;
  level?: number;
  reason?: string;
  /** The outcome while the response is being sent, if it differs. */
  late?: 'OK';
}

const rows: Record<string, Row> = {
  'a response': {
    end: ({ answer }) => answer.resolve({}),
    in: ['in its handler'],
    isReturned: true,
    seen: 'OK',
  },
  'a ServerError that is thrown': {
    end: ({ answer }) => answer.reject(new ServerError(Status.NOT_FOUND, 'Nobody')),
    in: ['in its handler'],
    isReturned: true,
    seen: 'NOT_FOUND',
    reason: 'Nobody',
  },
  'anything else that is thrown': {
    end: ({ answer }) => answer.reject('text'),
    in: ['in its handler'],
    isReturned: true,
    seen: 'INTERNAL',
    level: 50,
  },
  "its context's abort()": {
    end: ({ context }) => context?.abort(new ServerError(Status.FAILED_PRECONDITION, 'Too bad')),
    in: ['in its handler', 'sending its response'],
    seen: 'FAILED_PRECONDITION',
    reason: 'Too bad',
  },
  'its deadline': {
    end: (call) => call.pass(timeoutMs),
    seen: 'DEADLINE_EXCEEDED',
    reason: 'Deadline exceeded',
  },
  "its connection's age": {
    end: ({ peer }) => peer.connection.expire(),
    seen: 'UNAVAILABLE',
    reason: 'Connection has reached its age',
  },
  'a drain, as it is endless': {
    end({ context, calls }) {
      context?.abortOnTerminate();
      void calls.drain();
    },
    in: ['in its handler'],
    seen: 'UNAVAILABLE',
    reason: 'Server is shutting down',
  },
  'the end of a drain': {
    end: ({ calls }) => void calls.cut(),
    seen: 'UNAVAILABLE',
    reason: 'Server is shutting down',
    late: 'OK',
  },
  'a server that stops': {
    end: ({ calls }) => calls.end(reasons.serverStops()),
    seen: 'UNAVAILABLE',
    reason: 'Server is shutting down',
  },
  'a request that is refused': {
    end({ peer }) {
      const fields = ['x-large', 'x'.repeat(20_000)];
      peer.send('DATA', { stream: 1, payload: request });
      const payload = encodeHeaders(fields);
      const [begin, rest] = [payload.subarray(0, 16_384), payload.subarray(16_384)];
      peer.send('HEADERS', { flags: Flag.END_STREAM, stream: 1, payload: begin });
      peer.send('CONTINUATION', { flags: Flag.END_HEADERS, stream: 1, payload: rest });
    },
    in: ['waiting for its request'],
    seen: 'RESOURCE_EXHAUSTED',
    reason: 'Cannot accept request trailers of more than 16384 bytes',
  },
  'a message that is none': {
    end({ peer }) {
      const payload = frame(Buffer.from([0xff, 0xff]));
      peer.send('DATA', { flags: Flag.END_STREAM, stream: 1, payload });
    },
    in: ['waiting for its request'],
    seen: 'INTERNAL',
  },
  'a reset by its caller': {
    end: ({ peer }) => peer.send('RST_STREAM', { stream: 1, payload: word(8) }),
    seen: 'nothing',
    logged: 'CANCELLED',
  },
  'a reset by us, for what the peer did': {
    end: ({ peer }) => peer.send('WINDOW_UPDATE', { stream: 1, payload: word(0) }),
    seen: 'RST_STREAM',
    logged: 'INTERNAL',
  },
  'an error of its connection': {
    end: ({ peer }) => peer.send('SETTINGS', { payload: 'odd' }),
    seen: 'nothing',
    logged: 'UNAVAILABLE',
  },
  'a connection that is lost': {
    end: ({ peer }) => peer.connection.lost(),
    seen: 'nothing',
    logged: 'CANCELLED',
  },
};

for (const kind of kinds) {
  for (const phase of phases) {
    for (const [name, row] of Object.entries(rows)) {
      if (row.in && !row.in.includes(phase)) continue;
      test(`${name} ends a ${kind} call ${phase} once, with one status for its caller, the log and the metrics`, async (t) => {
        const call = await openCall(t, kind);
        await call.reach(phase);
        const isLate = phase === 'sending its response';
        const late = isLate ? row.late : undefined;
        const seen = late ?? row.seen;
        const code = late ?? row.logged ?? row.seen;

        row.end(call);
        if (row.isReturned || late) {
          await until(() => call.calls.inChain === 0);
          call.openWindow();
        }
        // This second cause comes too late.
        call.peer.connection.expire();
        await until(() => call.log.lines.length > 0 && call.calls.size === 0);

        assert.equal(call.seen(), seen);
        const [line = {}, ...more] = call.log.lines;
        assert.deepEqual(
          [line['rpc.status_code'], line['level'], more],
          [code, row.level ?? 30, []],
        );
        if (row.reason !== undefined && !late) assert.equal(line['reason'], row.reason);
        assert.deepEqual(call.counted(), { started: 1, ended: [code] });
        assert.equal(call.timesSent, 1);
        assert.deepEqual([call.calls.deleted, call.calls.inChain, call.calls.limited], [1, 0, 0]);
        assert.equal(call.peer.connection.openStreams, 0);
      });
    }
  }
}

for (const kind of kinds) {
  test(`a ${kind} call that is cut does not wait for its middleware, and ends only once`, async (t) => {
    const call = await openCall(t, kind);
    const { promise, resolve } = Promise.withResolvers<void>();
    call.leaving = promise;
    await call.reach('in its handler');

    call.peer.connection.expire();
    await until(() => call.calls.size === 0);
    resolve();
    await until(() => call.hasLeft);
    // Errors thrown meanwhile have been reported by now.
    await new Promise((heard) => setImmediate(heard));

    assert.equal(call.seen(), 'UNAVAILABLE');
    assert.deepEqual(call.counted(), { started: 1, ended: ['UNAVAILABLE'] });
    assert.deepEqual([call.calls.deleted, call.calls.inChain, call.timesSent], [1, 0, 1]);
  });
}

type OpenedCall = Awaited<ReturnType<typeof openCall>>;

class CountedCalls extends OpenCalls {
  deleted = 0;

  override delete(call: OpenCall): void {
    this.deleted++;
    super.delete(call);
  }
}

/** A server with the whole chain, and a connection without a socket on which a call has just begun. */
async function openCall(t: TestContext, kind: (typeof kinds)[number]) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const log = memoryLog();
  const counts = createCallCounts(methods);
  const answer = Promise.withResolvers<Partial<EchoReply>>();
  answer.promise.catch(() => {});
  const calls = new CountedCalls();
  let handled: Call | undefined;
  let last = 'nothing';
  let now = Math.round(performance.now());
  const router = createRouter({ calls, now: () => now });
  const http2 = createHttp2Server({ serve: router.serve });
  const serveEcho = (context: Call): Promise<Partial<EchoReply>> => {
    handled = context;
    return answer.promise;
  };
  const server = buildServer(serverOn(() => ({ router, http2, maxHandshakes: 0 })).use(countSent), {
    log: pino({ base: null }, log),
    counts,
    deadlines: { max: 60_000, fallback: undefined },
    maxInFlight: 10_000,
    ...(await servicesOf({
      echo: {
        unary: (_, context) => serveEcho(context),
        async *serverStream(_, context) {
          yield { text: 'first' };
          yield await serveEcho(context);
        },
      },
    })),
  });
  // The router has methods from then on; nothing connects.
  await server.listen({ host: '127.0.0.1', port: 0 });
  server.forceShutdown();
  const peer = createPeer();
  const hpack = createHpackDecoder({ maxHeaderListSize: 100_000 });
  const call = {
    peer,
    calls,
    log,
    answer,
    /** The context that its handler gets. */
    get context() {
      return handled;
    },
    timesSent: 0,
    /** The promise that its outermost middleware awaits at the end. */
    leaving: Promise.resolve(),
    hasLeft: false,
    /** Advances the clock by milliseconds. */
    pass(ms: number) {
      now += ms;
      t.mock.timers.tick(ms);
    },
    async reach(phase: Phase) {
      if (phase === 'waiting for its request') return;
      peer.send('DATA', { flags: Flag.END_STREAM, stream: 1, payload: request });
      await until(() => handled !== undefined);
      if (phase === 'in its handler') return;
      answer.resolve({ text: 'Bello Keys' });
      await until(() => calls.inChain === 0);
      assert.equal(calls.size, 1);
    },
    /** Opens the window, and reads the response. */
    openWindow() {
      peer.send('WINDOW_UPDATE', { stream: 1, payload: word(1000) });
      read();
    },
    counted() {
      const { started, handled } = counts.of(paths[kind]);
      const ended = [...handled].flatMap((times, code) => Array(times).fill(Status[code]));
      return { started, ended };
    },
    /** What the caller has received in the end. */
    seen(): string {
      read();
      return last;
    },
  };
  open(peer, kind);
  return call;

  function read(): void {
    for (const { type, streamId, payload } of peer.frames()) {
      if (streamId !== 1) continue;
      if (type === 'RST_STREAM' && last === 'nothing') last = type;
      if (type !== 'HEADERS') continue;
      const { fields } = hpack.decode(Buffer.from(payload, 'hex'));
      const at = fields.indexOf('grpc-status');
      if (at === -1) continue;
      assert.equal(last, 'nothing');
      last = Status[Number(fields[at + 1])] ?? '';
    }
  }

  async function* countSent<Req, Res>(
    { request: message, ...more }: ServerMiddlewareCall<Req, Res>,
    context: EngineContext,
  ) {
    try {
      return yield* more.next(message, context);
    } finally {
      context.whenSent?.(() => void call.timesSent++);
      await call.leaving;
      call.hasLeft = true;
    }
  }

  function open(to: Peer, of: (typeof kinds)[number]): void {
    const noWindow = encodeSettings([[SettingId.INITIAL_WINDOW_SIZE, 0]]);
    to.send('SETTINGS', { payload: noWindow });
    const fields = [
      [':method', 'POST', ':scheme', 'http', ':path', paths[of], ':authority', 'here'],
      ['content-type', 'application/grpc', 'te', 'trailers', 'grpc-timeout', `${timeoutMs}m`],
    ];
    const payload = encodeHeaders(fields.flat());
    to.send('HEADERS', { flags: Flag.END_HEADERS, stream: 1, payload });
    const { stream, request: head } = to.served[0] ?? assert.fail();
    stream.serve(router.serve(stream, head, new Socket()));
    to.frames();
  }
}
