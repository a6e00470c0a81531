import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Flag,
  type Frame,
  FrameType,
  maxInt31,
  preface,
  FrameReader,
} from '../../src/engine/http2/frames.ts';
import { applySettings, defaultPeerSettings } from '../../src/engine/http2/settings.ts';
import { greeting } from '../http2_attacks/greeting.ts';
import { frameOf, word } from '../support/http2_peer.ts';
import { Flooder } from '../pod/flooder.ts';
import { type Flood, noneYet, type Posts } from '../pod/orders.ts';
import type { Shape } from '../pod/payloads.ts';
import { startPosts } from '../pod/posts.ts';

/** The result of an attack. */
export interface Done {
  bytesSent: number;
  connected: number;
  /** Connections that the server has closed. */
  closed: number;
  /** Calls that the server has ended or reset. */
  ended: number;
  /** Milliseconds. */
  took: number;
  /** Further details of a row. */
  note: string;
  /** Violated expectations. */
  failures: string[];
}

/** Not the honest client's, as the server distinguishes peers by address. */
const localAddress = '127.0.0.2';
/** The maximum number of connections in progress, as a listener's backlog is limited. */
const maxConnecting = 100;
const connectMs = 10_000;
/** The maximum number of reconnects, if the server closes connections. */
const maxReconnects = 2000;
/** The maximum of bytes queued for writing, as the server only sees what it reads. */
const maxQueued = 256 * 1024;
/** The default duration of a rate, or of open calls, in milliseconds. */
const rateMs = 3000;
/** The time limit for the answers to a burst. */
const burstMs = 20_000;
const empty = Buffer.alloc(0);
/** Opens all windows to the maximum. */
export const wideOpen = Buffer.concat([
  greeting(maxInt31),
  frameOf(FrameType.WINDOW_UPDATE, 0, 0, word(maxInt31 - 65_535)),
]);

/** A connection that counts what it receives. */
export class Line {
  readonly socket: Socket;
  /** Calls that the server has ended or reset. */
  ended = 0;
  #connectionWindow = 65_535;
  #streamWindow = 65_535;
  #hasSettings = Promise.withResolvers<void>();
  readonly #reader = new FrameReader((frame) => this.#hear(frame));
  readonly #settings = defaultPeerSettings();

  constructor(port: number, hello: Buffer) {
    this.#reader.read(preface);
    this.socket = connect({ port, host: '127.0.0.1', localAddress })
      .on('error', () => {})
      .on('data', (bytes: Buffer) => this.#reader.read(bytes))
      .once('close', () => this.#hasSettings.resolve());
    this.socket.write(hello);
  }

  /** Bytes of DATA that the first stream may send. */
  get sendable(): number {
    return Math.min(this.#connectionWindow, this.#streamWindow);
  }

  /** Counts sent DATA. */
  take(bytes: number): void {
    this.#connectionWindow -= bytes;
    this.#streamWindow -= bytes;
  }

  /** Resolves when the server has sent SETTINGS, or has closed the connection. */
  ready(): Promise<void> {
    return this.#hasSettings.promise;
  }

  #hear({ type, flags, streamId, bytes, start, end }: Frame): void {
    const isAck = (flags & Flag.ACK) !== 0;
    if (type === FrameType.SETTINGS && !isAck) {
      applySettings(this.#settings, { type, flags, streamId, bytes, start, end });
      this.#streamWindow += this.#settings.initialWindowSize - 65_535;
      this.socket.write(frameOf(FrameType.SETTINGS, Flag.ACK, 0, empty));
      this.#hasSettings.resolve();
    } else if (type === FrameType.PING && !isAck) {
      this.socket.write(frameOf(FrameType.PING, Flag.ACK, 0, bytes.subarray(start, end)));
    } else if (type === FrameType.WINDOW_UPDATE) {
      if (streamId === 0) this.#connectionWindow += bytes.readUInt32BE(start);
      if (streamId === 1) this.#streamWindow += bytes.readUInt32BE(start);
    }
    const canEnd = type === FrameType.DATA || type === FrameType.HEADERS;
    const isEnd = canEnd && (flags & Flag.END_STREAM) !== 0;
    if (isEnd || type === FrameType.RST_STREAM) this.ended++;
  }
}

/** What is written repeatedly: once at first, then as each round defines. */
export interface Stream {
  /** A preface and SETTINGS other than those that open all windows. */
  hello?: Buffer;
  first?: Buffer;
  again: (round: number) => Buffer;
  /** Bytes of DATA in it, all on the first stream; they wait for its window. */
  takes?: number;
}

type FloodOrder = Partial<Pick<Flood, 'connections' | 'streams' | 'uploads' | 'reads'>>;

/** A hostile client, with the attacks that it can make. */
export class Hostile {
  readonly port: number;
  /** The process ID of the server. */
  readonly pid: number;
  /** The duration of a rate, or of open calls, in milliseconds. */
  readonly rateMs: number;
  note = '';
  readonly failures: string[] = [];
  readonly #lines = new Set<Line>();
  readonly #flooders = new Set<Flooder>();
  readonly #start = performance.now();
  readonly #counts = noneYet();
  #isOver = false;

  constructor({ port, pid, ms = rateMs }: { port: number; pid: number; ms?: number | undefined }) {
    this.port = port;
    this.pid = pid;
    this.rateMs = ms;
  }

  /** Opens connections, and waits until the server has sent SETTINGS on each, or closed it. */
  async connect(count: number, hello?: Buffer): Promise<readonly Line[]> {
    const lines: Line[] = [];
    while (lines.length < count) {
      const some = Array.from({ length: Math.min(maxConnecting, count - lines.length) }, () =>
        this.#dial(hello),
      );
      await Promise.race([Promise.all(some.map((line) => line.ready())), sleep(connectMs)]);
      lines.push(...some);
    }
    return lines;
  }

  /** Writes on all connections at once; resolves when each has so many calls answered, or is closed. */
  async burst(lines: readonly Line[], bytes: Buffer, answers: number): Promise<void> {
    for (const { socket } of lines) socket.write(bytes);
    const isDone = ({ socket, ended }: Line) => socket.closed || ended >= answers;
    await until(() => lines.every(isDone), burstMs);
  }

  /** Writes as much as the sockets accept, and reopens connections that are closed. */
  async pour(connections: number, { hello, first, again, takes = 0 }: Stream): Promise<void> {
    const end = performance.now() + this.rateMs;
    let left = maxReconnects;
    const isOver = () => this.#isOver || performance.now() > end;
    const one = async (): Promise<void> => {
      while (!isOver() && left-- > 0) {
        const line = this.#dial(hello);
        const { socket } = line;
        if (first) socket.write(first);
        for (let round = 0; !isOver() && !socket.closed;) {
          if (socket.writableLength > maxQueued) await next('drain', socket, end);
          else if (line.sendable < takes) await next('data', socket, end);
          else {
            socket.write(again(round++));
            line.take(takes);
            await new Promise((resolve) => setImmediate(resolve));
          }
        }
      }
    };
    await Promise.all(Array.from({ length: connections }, one));
  }

  /** Keeps so many calls open on each connection, replacing those that end. */
  async flood(
    shapes: readonly Shape[],
    { connections = 40, streams = 250, uploads = 4, reads = 'all' }: FloodOrder = {},
  ): Promise<void> {
    const counts = this.#counts;
    let left = connections + maxReconnects;
    const add = (): void => {
      if (this.#isOver || left-- <= 0) return;
      counts.connected++;
      const socket = connect({ port: this.port, host: '127.0.0.1', localAddress });
      const onClose = () => {
        this.#flooders.delete(flooder);
        if (!this.#isOver) counts.closed++;
        setImmediate(add);
      };
      const maxCalls = Number.POSITIVE_INFINITY;
      const options = { reads, streams, uploads, shapes, maxCalls, counts, onClose };
      const flooder = new Flooder(socket, options);
      this.#flooders.add(flooder);
    };
    for (let i = 0; i < connections; i++) add();
    await sleep(this.rateMs);
  }

  /** Sends large bodies over HTTP/1.1; see Posts. */
  async post(order: Omit<Posts, 'do' | 'port' | 'time'>, time = this.rateMs): Promise<void> {
    const dial = () => connect({ port: this.port, host: '127.0.0.1', localAddress });
    const posting = startPosts({ ...order, time }, { dial, counts: this.#counts });
    await sleep(time);
    posting.leave();
    await posting.ended;
  }

  /** Counts bytes of other connections. */
  sent(bytes: number): void {
    this.#counts.bytesSent += bytes;
  }

  /** Disconnects at once. */
  async leave(): Promise<Done> {
    this.#isOver = true;
    const lines = [...this.#lines];
    for (const flooder of this.#flooders) flooder.leave();
    for (const { socket } of lines) socket.resetAndDestroy();
    // The number of sent bytes is known when they are closed.
    await until(() => this.#flooders.size === 0 && this.#lines.size === 0, connectMs);
    const { bytesSent, connected, closed, ended } = this.#counts;
    const took = performance.now() - this.#start;
    return { bytesSent, connected, closed, ended, took, note: this.note, failures: this.failures };
  }

  #dial(hello: Buffer = wideOpen): Line {
    const line = new Line(this.port, hello);
    this.#lines.add(line);
    this.#counts.connected++;
    line.socket.once('close', () => {
      this.#lines.delete(line);
      this.#counts.ended += line.ended;
      this.#counts.bytesSent += line.socket.bytesWritten;
      if (!this.#isOver) this.#counts.closed++;
    });
    return line;
  }
}

/** Resolves to true when the condition holds, or to false after so many milliseconds. */
export async function until(condition: () => boolean, maxMs: number): Promise<boolean> {
  const end = performance.now() + maxMs;
  while (!condition() && performance.now() < end) await sleep(5);
  return condition();
}

/** Resolves at the next event of a socket, its close, or a time. */
function next(event: 'drain' | 'data', socket: Socket, end: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = () => resolve();
  const late = setTimeout(done, Math.max(0, end - performance.now()));
  socket.once(event, done).once('close', done);
  return promise.finally(() => {
    clearTimeout(late);
    socket.off(event, done).off('close', done);
  });
}
