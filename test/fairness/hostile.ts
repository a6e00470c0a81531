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
import { type Flood, noneYet } from '../pod/orders.ts';
import type { Shape } from '../pod/payloads.ts';

/** What an attack has come to. */
export interface Done {
  bytesSent: number;
  connected: number;
  /** Connections that the server has closed. */
  closed: number;
  /** Calls that the server has ended or reset. */
  ended: number;
  /** Milliseconds. */
  took: number;
  /** What else a row says of itself. */
  note: string;
  /** What was not as it has to be. */
  wrong: string[];
}

/** Not that of the honest client: a server may tell its peers apart by their addresses. */
const localAddress = '127.0.0.2';
/** How many are on their way at once: a listener has only so long a queue. */
const maxConnecting = 100;
const connectMs = 10_000;
/** A server that closes connections gets new ones, but not without end. */
const maxReconnects = 2000;
/** Bytes that wait to be written: what the server does not read it does not see, either. */
const maxQueued = 256 * 1024;
/** How long a rate is kept up, or calls are held, where nothing else is said. */
const rateMs = 3000;
/** What a burst has been answered by, or never is. */
const burstMs = 20_000;
const empty = Buffer.alloc(0);
/** What opens all windows. */
export const wideOpen = Buffer.concat([
  greeting(maxInt31),
  frameOf(FrameType.WINDOW_UPDATE, 0, 0, word(maxInt31 - 65_535)),
]);

/** A connection that counts what it hears. */
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

  /** Bytes of DATA that may be sent on the first stream. */
  get room(): number {
    return Math.min(this.#connectionWindow, this.#streamWindow);
  }

  /** Counts what has been sent on it. */
  take(bytes: number): void {
    this.#connectionWindow -= bytes;
    this.#streamWindow -= bytes;
  }

  /** Resolves when the server has said hello, or hung up. */
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

/** What is written again and again: once at first, then as the round has it. */
export interface Stream {
  /** Another preface and SETTINGS than those that open all windows. */
  hello?: Buffer;
  first?: Buffer;
  again: (round: number) => Buffer;
  /** Bytes of DATA in it, all on the first stream: they wait for its window. */
  takes?: number;
}

type FloodOrder = Partial<Pick<Flood, 'connections' | 'streams' | 'uploads' | 'reads'>>;

/** A client that means no good, and what it can do to one server. */
export class Hostile {
  readonly port: number;
  /** Of the server. */
  readonly pid: number;
  /** Milliseconds that a rate is kept up, or calls are held. */
  readonly rateMs: number;
  note = '';
  readonly wrong: string[] = [];
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

  /** Opens so many connections, and waits until the server has said hello on each, or hung up. */
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

  /** Writes as much as is taken, on so many connections, each opened anew when it is closed. */
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
          else if (line.room < takes) await next('data', socket, end);
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

  /** Keeps so many calls open on each connection, each made again when it has ended. */
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

  /** Counts bytes of connections that are not this one's own. */
  sent(bytes: number): void {
    this.#counts.bytesSent += bytes;
  }

  /** Goes away at once. */
  async leave(): Promise<Done> {
    this.#isOver = true;
    const lines = [...this.#lines];
    for (const flooder of this.#flooders) flooder.leave();
    for (const { socket } of lines) socket.resetAndDestroy();
    // What they have sent is known when they are closed.
    await until(() => this.#flooders.size === 0 && this.#lines.size === 0, connectMs);
    const { bytesSent, connected, closed, ended } = this.#counts;
    const took = performance.now() - this.#start;
    return { bytesSent, connected, closed, ended, took, note: this.note, wrong: this.wrong };
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

/** Resolves when the condition holds, or after so many milliseconds; says whether it does. */
export async function until(condition: () => boolean, maxMs: number): Promise<boolean> {
  const end = performance.now() + maxMs;
  while (!condition() && performance.now() < end) await sleep(5);
  return condition();
}

/** Resolves with the next such event of a socket, with its close, or at a time. */
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
