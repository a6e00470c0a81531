import type { Account } from '../../src/engine/account.ts';
import { ownAccount } from './account.ts';
import { Connection } from '../../src/engine/http2/connection.ts';
import { Flag, FrameType, preface, FrameReader } from '../../src/engine/http2/frames.ts';
import type { Http2Limits } from '../../src/engine/http2/limits.ts';
import { Output } from '../../src/engine/http2/sender.ts';
import type { Flow } from '../../src/engine/scheduler.ts';
import type { RequestHeaders } from '../../src/engine/http2/request_headers.ts';
import type { Stream, StreamEvents } from '../../src/engine/http2/stream.ts';
import { defaultLimits } from './engine.ts';

/** `:method: POST`, `:scheme: http`, `:path: /`, by static index (RFC 7541 appendix A). */
export const post = Buffer.from([0x83, 0x86, 0x84]);
/** `:status: 200`. */
export const ok = Buffer.from([0x88]);
/** `a: b`, a literal. */
export const trailer = Buffer.from([0x00, 0x01, 0x61, 0x01, 0x62]);

/** A frame that came out, with its payload in hexadecimal. */
export interface Seen {
  type: string;
  flags: number;
  streamId: number;
  payload: string;
}

/** What was told of a stream. */
export interface Served {
  stream: Stream;
  request: RequestHeaders;
  /** `data ...`, `end ...`, `reset CODE`, `failed CODE`, `expire`, `drain`, in their order. */
  events: string[];
}

/** A client of a connection, without sockets between them. */
export interface Peer {
  connection: Connection;
  /** What it holds. */
  account: Account;
  served: Served[];
  /** Moves the connection's clock, in milliseconds. */
  clock: { now: number };
  /** Sends a frame. */
  send(type: keyof typeof FrameType, options?: SendOptions): void;
  /** Sends bytes as they are. */
  sendRaw(bytes: Buffer): void;
  /** Opens a stream with a request to `/`; its events are the last of `served`. */
  open(streamId: number, how?: { endStream?: boolean }): Served;
  /** The frames that came out since the last time. */
  frames(): Seen[];
}

interface SendOptions {
  flags?: number;
  stream?: number;
  payload?: Uint8Array | string;
}

/** What lies between a peer and its connection. */
export interface Wire {
  /** What the peer sends, as the chunks that the connection gets. */
  up(bytes: Buffer): readonly Buffer[];
  /** Told what the connection has sent. */
  down(bytes: Buffer): void;
}

const typeNames = Object.keys(FrameType);
const plainWire: Wire = { up: (bytes) => [bytes], down() {} };

/** A peer that has said its preface and SETTINGS, and read the server's. */
export function createPeer(
  limits: Partial<Http2Limits> = {},
  { wire = plainWire, flow }: { wire?: Wire; flow?: Flow } = {},
): Peer {
  const served: Served[] = [];
  const clock = { now: 0 };
  const own = ownAccount({ bytes: 64 * 1024 * 1024 });
  const connection = new Connection({
    limits: { ...defaultLimits, ...limits },
    account: own.account,
    serve,
    wake() {},
    now: () => clock.now,
    ...(flow && { flow }),
  });
  const seen: Seen[] = [];
  const reader = new FrameReader(({ type, flags, streamId, bytes, start, end }) => {
    const payload = bytes.toString('hex', start, end);
    seen.push({ type: typeNames[type] ?? `${type}`, flags, streamId, payload });
  });
  reader.read(preface);
  own.of(connection);
  const peer: Peer = {
    connection,
    account: own.account,
    served,
    clock,
    send(type, { flags = 0, stream = 0, payload = '' } = {}) {
      peer.sendRaw(frameOf(FrameType[type], flags, stream, Buffer.from(payload)));
    },
    sendRaw(bytes) {
      for (const chunk of wire.up(bytes)) receiveOnce(connection, chunk);
    },
    open(streamId, { endStream = false } = {}) {
      const flags = Flag.END_HEADERS | (endStream ? Flag.END_STREAM : 0);
      peer.send('HEADERS', { flags, stream: streamId, payload: post });
      const last = served.at(-1);
      if (last?.stream.id !== streamId) throw new Error(`stream ${streamId} was not opened`);
      return last;
    },
    frames() {
      for (const bytes of connection.take({ room: true })) {
        wire.down(bytes);
        reader.read(bytes);
      }
      return seen.splice(0);
    },
  };
  peer.sendRaw(preface);
  peer.send('SETTINGS');
  peer.frames();
  return peer;

  function serve(stream: Stream, request: RequestHeaders): StreamEvents {
    const events: string[] = [];
    served.push({ stream, request, events });
    return {
      data: (bytes) => void events.push(`data ${bytes.toString()}`),
      end(trailers, overLimit) {
        const above = overLimit === undefined ? [] : [`(above ${overLimit})`];
        events.push(['end', ...trailers, ...above].join(' '));
      },
      reset: (code) => void events.push(`reset ${code}`),
      failed: ({ code }) => void events.push(`failed ${code}`),
      expire: () => void events.push('expire'),
      drain: () => void events.push('drain'),
      sent() {},
    };
  }
}

/** Has a connection receive bytes that are others as soon as it has: it may keep none of them. */
export function receiveOnce(connection: Connection, bytes: Buffer): void {
  const chunk = Buffer.from(bytes);
  connection.receive(chunk);
  chunk.fill(0xff);
}

/** A frame as it stands on the wire. */
export function frameOf(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const output = new Output();
  output.frame(type, flags, streamId, payload);
  return Buffer.concat(output.take());
}

/** Four bytes, most significant first. */
export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The error code of the GOAWAY among frames. */
export function goAwayCode(frames: readonly Seen[]): number | undefined {
  const goAway = frames.find(({ type }) => type === 'GOAWAY');
  return goAway && Buffer.from(goAway.payload, 'hex').readUInt32BE(4);
}
