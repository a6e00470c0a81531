// Hostile clients in their own process, which executes one order at a time. The connections of an order stay open
// until the next one.
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { preface } from '../../src/engine/http2/frames.ts';
import { withLongestChain } from '../support/certificate.ts';
import { Flooder } from './flooder.ts';
import { type Crowd, type Flood, noneYet, type Order, type Posts } from './orders.ts';
import { shapesOf } from './payloads.ts';
import { startPosts } from './posts.ts';

/** Not the probes', as the server distinguishes peers by address. */
const localAddress = '127.0.0.2';
/** The maximum number of connections in progress, as a listener's backlog is limited. */
const maxConnecting = 200;
/** The maximum number of reconnects, if the server closes connections. */
const maxReconnects = 2000;
/** Milliseconds that a busy server has to accept the first call. */
const firstCallMs = 10_000;

/** Closes everything, and returns the result. */
let leave = noneYet;

process.on('message', (order: Order | 'leave') => {
  const done = leave();
  leave = noneYet;
  if (order === 'leave') return process.send?.(done);
  void work(order).then(() => process.send?.('done'));
  return true;
});
process.on('disconnect', () => process.exit());

function work(order: Order): Promise<void> {
  if (order.do === 'flood') return flood(order);
  return order.do === 'crowd' ? crowd(order) : posts(order);
}

async function flood(order: Flood): Promise<void> {
  const counts = noneYet();
  const shapes = inTurn(order.methods.map((method) => shapesOf(method, order.payload)));
  const maxCalls = order.connections * order.streams + order.calls;
  const flooders = new Set<Flooder>();
  const sockets = new Set<Socket>();
  const start = performance.now();
  let isOver = false;
  leave = () => {
    isOver = true;
    const bytesSent = counts.bytesSent + sentBy(sockets);
    for (const flooder of flooders) flooder.leave();
    return { ...counts, bytesSent, took: performance.now() - start };
  };
  for (let i = 0; i < order.connections; i++) add();
  await until(() => counts.calls > 0, firstCallMs);
  await until(() => counts.ended >= order.calls, order.time);

  function add(): void {
    if (isOver || counts.connected >= order.connections + maxReconnects) return;
    counts.connected++;
    const socket = dial(order.port);
    sockets.add(socket);
    const { reads, streams, uploads } = order;
    const options = { reads, streams, uploads, shapes, maxCalls, counts, onClose };
    const flooder = new Flooder(socket, options);
    flooders.add(flooder);

    function onClose(): void {
      sockets.delete(socket);
      flooders.delete(flooder);
      counts.closed++;
      setImmediate(add);
    }
  }
}

/** Interleaves lists. */
function inTurn<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, i) =>
    lists.flatMap((list) => list.slice(i, i + 1)),
  ).flat();
}

/** Resolves when the condition holds, or after so many milliseconds. */
async function until(condition: () => boolean, most: number): Promise<void> {
  const end = performance.now() + most;
  while (!condition() && performance.now() < end) await sleep(10);
}

function sentBy(sockets: ReadonlySet<Socket>): number {
  return [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
}

function dial(port: number, localPort?: number): Socket {
  const from = localPort === undefined ? { localAddress } : { localAddress, localPort };
  return connect({ port, host: '127.0.0.1', ...from });
}

const lowestPort = 10_000;
const ports = 50_000;
let dialled = 0;

async function crowd({ port, connections, says, identity }: Crowd): Promise<void> {
  const counts = noneYet();
  const sockets = new Set<Socket>();
  const start = performance.now();
  leave = () => {
    const bytesSent = counts.bytesSent + sentBy(sockets);
    for (const socket of sockets) socket.resetAndDestroy();
    return { ...counts, bytesSent, took: performance.now() - start };
  };
  const hello = says === 'client hello' ? await clientHello() : preface;
  const secureContext = createSecureContext(identity ? withLongestChain(identity) : {});
  let left = connections;
  const workers = Array.from({ length: Math.min(maxConnecting, connections) }, async () => {
    while (left-- > 0) await enter();
  });
  await Promise.all(workers);

  /** Resolves when the connection is open and its bytes are sent, or when it has failed. */
  async function enter(): Promise<void> {
    // The kernel takes longer and longer to find a free port.
    const tcp = dial(port, lowestPort + (dialled++ % ports));
    sockets.add(tcp);
    const options = { secureContext, ALPNProtocols: ['h2'], rejectUnauthorized: false };
    const isWhole = says === 'tls';
    const socket = isWhole ? connectTls({ ...options, socket: tcp }) : tcp;
    let isTaken = false;
    tcp.on('error', ({ code }: NodeJS.ErrnoException) => (isTaken = code === 'EADDRINUSE'));
    if (says === 'half tls') {
      connectTls({ ...options, socket: allButTheLast(tcp) }).on('error', () => {});
    } else socket.on('error', () => {}).resume();
    await new Promise<void>((resolve) => {
      socket.once(isWhole ? 'secureConnect' : 'connect', () => {
        counts.connected++;
        if (says === 'nothing' || says === 'half tls') resolve();
        else socket.write(hello, () => resolve());
      });
      tcp.once('close', () => {
        sockets.delete(tcp);
        counts.bytesSent += tcp.bytesWritten;
        if (isTaken) left++;
        else counts.closed++;
        resolve();
      });
    });
  }
}

async function posts(order: Posts): Promise<void> {
  const counts = noneYet();
  const start = performance.now();
  const posting = startPosts(order, { dial: () => dial(order.port), counts });
  leave = () => {
    posting.leave();
    return { ...counts, took: performance.now() - start };
  };
  await posting.ended;
}

/** Writes all but the last byte to the socket, so that the handshake does not end. */
function allButTheLast(tcp: Socket): Duplex {
  let kept = Buffer.alloc(0);
  let isHello = true;
  const wire = new Duplex({
    read() {},
    write(bytes: Buffer, _encoding, done) {
      const all = Buffer.concat([kept, bytes]);
      const most = isHello ? all.length : all.length - 1;
      isHello = false;
      kept = all.subarray(most);
      tcp.write(all.subarray(0, most));
      done();
    },
  });
  tcp.on('data', (bytes) => wire.push(bytes)).once('close', () => wire.destroy());
  return wire.on('error', () => {});
}

/** A ClientHello. */
function clientHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = new Duplex({
      read() {},
      write(bytes: Buffer) {
        resolve(bytes);
      },
    });
    connectTls({ socket, ALPNProtocols: ['h2'] }).on('error', () => {});
  });
}
