import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { Flag, FrameType } from '../src/engine/http2/frames.ts';
import type { Incident } from '../src/engine/http2/incident.ts';
import type { Http2ServerOptions } from '../src/engine/net/connections.ts';
import { eventually } from './support/harness.ts';
import { greeting } from './http2_attacks/attacker.ts';
import { frameOf } from './support/http2_peer.ts';
import { echo, serveEcho } from './support/http2_echo.ts';
import { listenTcp } from './support/tcp.ts';
import { createHttp2Server } from './support/engine.ts';

/** A client of node:http2, and what it has received. */
interface Client {
  session: ClientHttp2Session;
  /** The code, last stream and debug data of its GOAWAY. */
  goAway: [code: number, lastStream: number, words: string] | undefined;
  isClosed: boolean;
}

/** An echo server whose test sets the addresses of its peers. */
async function serve(t: TestContext, options: Partial<Http2ServerOptions>) {
  const incidents: Incident[] = [];
  const clock = { now: 0 };
  let remoteAddress = '';
  const server = createHttp2Server({
    serve: echo,
    report: (incident) => void incidents.push(incident),
    now: () => clock.now,
    ...options,
  });
  const listener = createServer((socket) => {
    server.attach(Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress }));
  });
  const port = await listenTcp(listener);
  t.after(() => {
    server.destroy();
    listener.close();
  });

  return {
    server,
    incidents,
    clock,
    reasons: () => incidents.map(({ reason }) => reason),
    dial,
    greet,
  };

  /** Connects from an address, and waits until both sides are ready, or the connection is closed. */
  async function dial(from: string): Promise<Client> {
    remoteAddress = from;
    const session = connect(`http://127.0.0.1:${port}`).on('error', () => {});
    t.after(() => session.destroy());
    const client: Client = { session, goAway: undefined, isClosed: false };
    session
      .on('goaway', (code, lastStream, said) => {
        client.goAway = [code, lastStream, said?.toString() ?? ''];
      })
      .on('close', () => (client.isClosed = true));
    await Promise.race([once(session, 'remoteSettings'), once(session, 'close')]);
    if (!client.isClosed) await roundTrip(client);
    return client;
  }

  /** Connects, and sends a preface and SETTINGS only. */
  async function greet(from: string): Promise<Socket> {
    remoteAddress = from;
    const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    socket.write(greeting());
    await Promise.race([once(socket, 'data'), once(socket, 'close')]);
    return socket;
  }
}

/** Resolves when the server has processed all that was sent. */
function roundTrip({ session }: Client): Promise<void> {
  return new Promise((resolve) => session.ping(() => resolve()));
}

/** Opens a call that does not end. */
async function openCall(client: Client) {
  const stream = client.session.request({ ':method': 'POST' }, { endStream: false });
  stream.on('error', () => {}).resume();
  await once(stream, 'response');
  return stream;
}

async function call({ session }: Client): Promise<void> {
  const stream = session.request({ ':method': 'POST' });
  stream.end('x');
  assert.equal(await text(stream), 'x');
}

const closed = (client: Client) => eventually('a closed connection', () => client.isClosed);
const words = (count: number) =>
  `Cannot keep an idle connection: there are ${count}, and a new one needs a slot`;

test('a full server closes the connection that has been idle longest, and reports it', async (t) => {
  const { dial, server, incidents } = await serve(t, { maxConnections: 3 });
  const first = await dial('a');
  const second = await dial('a');
  const third = await dial('a');
  await call(first);

  const fourth = await dial('a');
  await closed(second);

  assert.deepEqual(second.goAway, [0, 0, words(3)]);
  assert.deepEqual(incidents, [{ reason: 'evicted', message: words(3) }]);
  assert.equal(server.openConnections, 3);
  for (const client of [first, third, fourth]) await call(client);
});

test('GOAWAY to an evicted connection names its last stream', async (t) => {
  const { dial } = await serve(t, { maxConnections: 2 });
  const used = await dial('a');
  await call(used);
  await call(used);
  await dial('a');

  await dial('b');
  await closed(used);

  assert.deepEqual(used.goAway, [0, 3, words(2)]);
});

test('a full server refuses a new connection rather than closing one with an open call', async (t) => {
  const { dial, server, reasons } = await serve(t, { maxConnections: 2 });
  const clients = [await dial('a'), await dial('a')];
  for (const client of clients) await openCall(client);

  for (const from of ['a', 'b', 'c']) await closed(await dial(from));

  assert.deepEqual(reasons(), ['refused', 'refused', 'refused']);
  assert.equal(server.openConnections, 2);
  for (const client of clients) await call(client);
});

test('a connection is idle again after its last call', async (t) => {
  const { dial } = await serve(t, { maxConnections: 2 });
  const [first, second] = [await dial('a'), await dial('a')];
  const stream = await openCall(first);
  await openCall(second);

  stream.close(constants.NGHTTP2_CANCEL);
  await roundTrip(first);
  const other = await dial('b');
  await closed(first);

  await call(other);
  assert.equal(second.isClosed, false);
});

test('a full server closes a connection of the address with the most, even if another has been idle longer', async (t) => {
  const { dial, reasons } = await serve(t, { maxConnections: 4 });
  const longest = await dial('a');
  const crowd = [await dial('b'), await dial('b'), await dial('b')];
  // Repeated calls must not protect it.
  for (const client of crowd) await call(client);

  const others = [await dial('c'), await dial('d')];
  for (const client of crowd.slice(0, 2)) await closed(client);

  assert.deepEqual(reasons(), ['evicted', 'evicted']);
  for (const client of [longest, ...others]) await call(client);
});

test('an address with the most connections, all with calls, replaces no idle one of others', async (t) => {
  const { dial, reasons } = await serve(t, { maxConnections: 4 });
  const idle = await dial('a');
  for (let i = 0; i < 3; i++) await openCall(await dial('b'));

  for (let i = 0; i < 3; i++) await closed(await dial('b'));

  assert.deepEqual(reasons(), ['refused', 'refused', 'refused']);
  await call(idle);
});

test('connections that send only a preface keep nobody out, from the same address or another', async (t) => {
  const { dial, greet, server } = await serve(t, { maxConnections: 5 });
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 5; i++) await greet('a');

    for (const from of ['a', 'b']) {
      const client = await dial(from);
      await call(client);
      client.session.destroy();
    }
  }
  assert.ok(server.openConnections <= 5);
});

test("too many clients seldom replace each other's connections; the others are refused", async (t) => {
  const { dial, clock, reasons } = await serve(t, { maxConnections: 10 });
  for (let i = 0; i < 10; i++) await dial(`a${i}`);

  for (let i = 0; i < 10; i++) await dial(`b${i}`);
  const atOnce = reasons();
  clock.now = 1000;
  for (let i = 0; i < 10; i++) await dial('c');
  const aSecondLater = reasons().slice(atOnce.length);

  const evicted = (seen: string[]) => seen.filter((reason) => reason === 'evicted').length;
  assert.deepEqual([atOnce.length, evicted(atOnce)], [10, 2]);
  assert.deepEqual([aSecondLater.length, evicted(aSecondLater)], [10, 1]);
});

test('a connection with a call within two seconds is not replaced by its own address', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { dial, clock, reasons } = await serve(t, { maxConnections: 1 });
  const client = await dial('a');
  await call(client);

  await closed(await dial('a'));
  clock.now = 1000;
  t.mock.timers.tick(1000);
  clock.now = 2999;
  await closed(await dial('a'));
  clock.now = 3000;
  await dial('a');
  await closed(client);

  assert.deepEqual(reasons(), ['refused', 'refused', 'evicted']);
});

test('a connection that stays after GOAWAY keeps no slot', async (t) => {
  const { greet, dial, server, reasons } = await serve(t, { maxConnections: 1 });
  const socket = await greet('a');
  const end = once(socket, 'end');
  server.retireConnections();
  socket.write(frameOf(FrameType.PING, Flag.ACK, 0, Buffer.from('goingout')));
  await end;
  assert.equal(server.openConnections, 1);

  await call(await dial('a'));

  assert.deepEqual(reasons(), []);
});

test('a TLS connection that is evicted gets its GOAWAY', async (t) => {
  const incidents: Incident[] = [];
  const report = (incident: Incident) => void incidents.push(incident);
  const server = createHttp2Server({ serve: echo, report, maxConnections: 1 });
  const echoing = await serveEcho(server);
  t.after(() => echoing.close());
  const dial = async () => {
    const session = connect(`https://127.0.0.1:${echoing.tls}`, { rejectUnauthorized: false });
    t.after(() => session.destroy());
    session.on('error', () => {});
    await once(session, 'remoteSettings');
    await new Promise((resolve) => session.ping(resolve));
    return session;
  };
  const first = await dial();

  const goAway = once(first, 'goaway');
  await dial();
  const [code] = await goAway;

  assert.equal(code, 0);
  assert.deepEqual(incidents, [{ reason: 'evicted', message: words(1) }]);
});
