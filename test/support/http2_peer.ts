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

/** `:method: POST`, `:scheme: http`, `:path: /`, indexed (RFC 7541 appendix A). */
export const post = Buffer.from([0x83, 0x86, 0x84]);
/** `:status: 200`. */
export const ok = Buffer.from([0x88]);
/** `a: b`, a literal. */
export const trailer = Buffer.from([0x00, 0x01, 0x61, 0x01, 0x62]);

/** A frame from the server, with its payload in hexadecimal. */
export interface Seen {
  type: string;
  flags: number;
  streamId: number;
  payload: string;
}

/** A stream with its events. */
export interface Served {
  stream: Stream;
  request: RequestHeaders;
  /** `data ...`, `end ...`, `reset CODE`, `failed CODE`, `expire`, `drain`, in order. */
  events: string[];
}

/** The client of a connection, without sockets between them. */
export interface Peer {
  connection: Connection;
  /** The connection's account. */
  account: Account;
  served: Served[];
  /** The connection's clock, in milliseconds. */
  clock: { now: number };
  /** Sends a frame. */
  send(type: keyof typeof FrameType, options?: SendOptions): void;
  /** Sends raw bytes. */
  sendRaw(bytes: Buffer): void;
  /** Opens a stream with a request to `/`; its events are the last of `served`. */
  open(streamId: number, how?: { endStream?: boolean }): Served;
  /** The frames that the server has sent since the last call. */
  frames(): Seen[];
}

interface SendOptions {
  flags?: number;
  stream?: number;
  payload?: Uint8Array | string;
}

/** The transport between a peer and its connection. */
export interface Wire {
  /** Splits what the peer sends into chunks for the connection. */
  up(bytes: Buffer): readonly Buffer[];
  /** Called with what the connection has sent. */
  down(bytes: Buffer): void;
}

const typeNames = Object.keys(FrameType);
const plainWire: Wire = { up: (bytes) => [bytes], down() {} };

/** A peer that has sent its preface and SETTINGS, and read the server's. */
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

/** Lets a connection receive bytes that are overwritten afterwards, as it must not keep them. */
export function receiveOnce(connection: Connection, bytes: Buffer): void {
  const chunk = Buffer.from(bytes);
  connection.receive(chunk);
  chunk.fill(0xff);
}

/** An encoded frame. */
export function frameOf(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const output = new Output();
  output.frame(type, flags, streamId, payload);
  return Buffer.concat(output.take());
}

/** Four bytes, big-endian. */
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
