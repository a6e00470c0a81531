import type { Socket } from 'node:net';
import {
  defaultMaxFrameSize,
  Flag,
  type Frame,
  FrameType,
  maxInt31,
  preface,
  FrameReader,
} from '../../src/engine/http2/frames.ts';
import { applySettings, defaultPeerSettings } from '../../src/engine/http2/settings.ts';
import { greeting } from '../http2_attacks/greeting.ts';
import { headers } from '../http2_attacks/targets.ts';
import { frameOf, word } from '../support/http2_peer.ts';
import type { Done, Flood } from './orders.ts';
import type { Shape } from './payloads.ts';

/** A call whose body is not completely sent. */
interface Sending {
  body: Buffer;
  at: number;
  window: number;
  ends: boolean;
  /** When its last bytes were sent. */
  movedAt: number;
}

interface FlooderOptions extends Pick<Flood, 'reads' | 'streams' | 'uploads'> {
  shapes: readonly Shape[];
  /** The maximum of all connections. */
  maxCalls: number;
  /** True if requests are ended; by default it depends on the windows. */
  ends?: boolean;
  counts: Done;
  onClose: () => void;
}

/** The maximum of bytes queued for writing, as the server only sees what it reads. */
const maxQueued = 256 * 1024;
/** A body that is blocked for so many milliseconds does not delay others. */
const blockedMs = 100;
/** The fraction of the connection window after which it is opened again. */
const windowStep = 2 ** 29;
const largestWindow = frameOf(FrameType.WINDOW_UPDATE, 0, 0, word(maxInt31 - 65_535));

/** A connection that keeps a number of calls open, and sends as much as the server accepts. */
export class Flooder {
  readonly #socket: Socket;
  readonly #options: FlooderOptions;
  readonly #reader = new FrameReader((frame) => this.#take(frame));
  readonly #settings = defaultPeerSettings();
  /** Open calls, and whether their responses are read. */
  readonly #open = new Map<number, boolean>();
  readonly #sending = new Map<number, Sending>();
  #hasSettings = false;
  #window = 65_535;
  #unsaid = 0;
  #nextId = 1;
  #read = 0;
  #unread = 0;

  constructor(socket: Socket, options: FlooderOptions) {
    this.#socket = socket;
    this.#options = options;
    const { reads, counts } = options;
    this.#reader.read(preface);
    const isHeld = reads === 'none' || reads === 'half';
    socket.write(Buffer.concat([greeting(isHeld ? 0 : maxInt31), largestWindow]));
    socket
      .on('error', () => {})
      .on('data', (bytes: Buffer) => {
        counts.bytesRead += bytes.length;
        this.#reader.read(bytes);
        if (!this.#hasSettings) return;
        if (reads === 'nothing') socket.pause();
        this.#pump();
      })
      .on('drain', () => this.#pump())
      .once('close', () => {
        counts.bytesSent += socket.bytesWritten;
        options.onClose();
      });
  }

  /** Disconnects at once. */
  leave(): void {
    this.#socket.resetAndDestroy();
  }

  #take({ type, flags, streamId, bytes, start, end }: Frame): void {
    const { counts } = this.#options;
    if (type === FrameType.DATA) {
      counts.messages++;
      this.#unsaid += end - start;
      if (this.#unsaid > windowStep) {
        this.#socket.write(frameOf(FrameType.WINDOW_UPDATE, 0, 0, word(this.#unsaid)));
        this.#unsaid = 0;
      }
    }
    if (type === FrameType.SETTINGS && (flags & Flag.ACK) === 0) {
      applySettings(this.#settings, { type, flags, streamId, bytes, start, end });
      this.#socket.write(frameOf(FrameType.SETTINGS, Flag.ACK, 0, Buffer.alloc(0)));
      this.#hasSettings = true;
    }
    if (type === FrameType.PING && (flags & Flag.ACK) === 0) {
      this.#socket.write(frameOf(FrameType.PING, Flag.ACK, 0, bytes.subarray(start, end)));
    }
    if (type === FrameType.WINDOW_UPDATE) {
      const more = bytes.readUInt32BE(start);
      const sending = this.#sending.get(streamId);
      if (streamId === 0) this.#window += more;
      else if (sending) sending.window += more;
    }
    if (type === FrameType.RST_STREAM) {
      counts.reset++;
      this.#end(streamId);
    }
    const isLast = type === FrameType.HEADERS || type === FrameType.DATA;
    if (isLast && (flags & Flag.END_STREAM) !== 0) {
      if (this.#sending.has(streamId)) {
        // Cancels the call before the response is complete.
        this.#socket.write(frameOf(FrameType.RST_STREAM, 0, streamId, word(0)));
      }
      this.#end(streamId);
    }
  }

  #end(streamId: number): void {
    const isRead = this.#open.get(streamId);
    if (isRead === undefined) return;
    this.#options.counts.ended++;
    if (isRead) this.#read--;
    else this.#unread--;
    this.#open.delete(streamId);
    this.#sending.delete(streamId);
  }

  /** Continues open calls and begins others, as long as the socket accepts data. */
  #pump(): void {
    const { uploads } = this.#options;
    const now = performance.now();
    this.#socket.cork();
    let hasMore = true;
    while (hasMore && this.#hasRoom()) {
      hasMore = this.#begin();
      let active = 0;
      for (const [streamId, sending] of this.#sending) {
        if (active === uploads || !this.#hasRoom()) break;
        if (this.#send(streamId, sending)) {
          hasMore = true;
          sending.movedAt = now;
          active++;
        } else if (now - sending.movedAt < blockedMs) {
          active++;
        }
      }
    }
    process.nextTick(() => this.#socket.uncork());
  }

  #hasRoom(): boolean {
    return !this.#socket.destroyed && this.#socket.writableLength < maxQueued;
  }

  /** Opens a call, if the limit allows. */
  #begin(): boolean {
    const { reads, streams, shapes, maxCalls, ends, counts } = this.#options;
    if (this.#open.size >= streams || this.#nextId > maxInt31 - 2) return false;
    if (counts.calls >= maxCalls) return false;
    const isRead = reads === 'all' || (reads === 'half' && this.#read <= this.#unread);
    const index = (this.#nextId - 1) / 2;
    const shape = shapes[index % shapes.length];
    if (!shape) return false;
    const streamId = this.#nextId;
    this.#nextId += 2;
    counts.calls++;
    const needsFirst = index === 0 ? shapes.find(({ first }) => first)?.first : undefined;
    this.#socket.write(headers(streamId, needsFirst ?? shape.block));
    if (isRead && reads === 'half') {
      this.#socket.write(frameOf(FrameType.WINDOW_UPDATE, 0, streamId, word(maxInt31)));
    }
    const sending = {
      body: shape.body,
      at: 0,
      movedAt: performance.now(),
      window: this.#settings.initialWindowSize,
      ends: ends ?? (isRead || reads === 'nothing' || this.#unread % 2 === 0),
    };
    if (isRead) this.#read++;
    else this.#unread++;
    this.#open.set(streamId, isRead);
    this.#sending.set(streamId, sending);
    return true;
  }

  /** Sends a frame of a body; returns whether there may be another one. */
  #send(streamId: number, sending: Sending): boolean {
    const { body, at, window, ends } = sending;
    const size = Math.min(defaultMaxFrameSize, body.length - at, window, this.#window);
    if (size <= 0) return false;
    const isLast = at + size === body.length;
    const flags = isLast && ends ? Flag.END_STREAM : 0;
    this.#socket.write(dataHeader(streamId, size, flags));
    this.#socket.write(body.subarray(at, at + size));
    sending.at += size;
    sending.window -= size;
    this.#window -= size;
    if (isLast) this.#sending.delete(streamId);
    return true;
  }
}

function dataHeader(streamId: number, size: number, flags: number): Buffer {
  const bytes = Buffer.allocUnsafe(9);
  bytes.writeUIntBE(size, 0, 3);
  bytes.writeUInt8(FrameType.DATA, 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(streamId, 5);
  return bytes;
}
