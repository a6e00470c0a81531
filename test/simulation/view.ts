import { prefixLength } from '../../src/engine/grpc/methods.ts';
import {
  defaultMaxFrameSize,
  Flag,
  frameHeaderLength,
  FrameType,
  maxInt31,
} from '../../src/engine/http2/frames.ts';
import { createHpackDecoder } from '../../src/engine/http2/hpack/decoder.ts';
import type { Http2Limits } from '../../src/engine/http2/limits.ts';
import { SettingId } from '../../src/engine/http2/settings.ts';
import { messageOf } from '../../src/message_of.ts';
import { type FrameAt, framesIn } from '../support/grpc_fuzz_client.ts';

const { END_STREAM, END_HEADERS, ACK } = Flag;

/** A stream, from the frames of both sides. */
export interface StreamView {
  /** Bytes of DATA sent on it, and bytes returned to its window. */
  sent: number;
  regained: number;
  /** Bytes that the peer has granted beyond INITIAL_WINDOW_SIZE, and bytes received. */
  granted: number;
  heard: number;
  /** True if the peer has ended its side. */
  hasSaidEnd: boolean;
  state: 'silent' | 'begun' | 'ended';
  /** The error code of the server's RST_STREAM. */
  reset: number | undefined;
  /** The fields of the response: name, value, name, value. */
  fields: string[];
  /** The body, if it is kept. */
  body: Buffer[];
  /** The partial prefix of a message, and the bytes that are missing. */
  prefix: Buffer;
  missing: number;
}

interface ViewDeps {
  /** The server's limits. */
  limits: Http2Limits;
  keepsBodies: boolean;
  /** Called with a violation by the server. */
  onViolation: (rule: string) => void;
}

/** All frames of a connection: checks that the server follows RFC 9113. */
export class View {
  readonly streams = new Map<number, StreamView>();
  /** The last error code and the lowest stream of the server's GOAWAYs. */
  goAway: { code: number; lastId: number } | undefined;
  hasSettings = false;
  /** SETTINGS and PING payloads that the peer has not acknowledged. */
  unanswered: ('settings' | Buffer)[] = [];
  /** All bytes of DATA that the server has sent. */
  heard = 0;
  /** The highest stream that the peer has opened. */
  lastId = 0;
  /** Streams that the server has reset. */
  readonly resets = new Set<number>();
  readonly #limits: Http2Limits;
  readonly #keepsBodies: boolean;
  readonly #onViolation: (rule: string) => void;
  readonly #up = new Cutter();
  readonly #down = new Cutter();
  readonly #hpack = createHpackDecoder({ maxHeaderListSize: 1e6 });
  readonly #settings: (readonly [id: number, value: number])[][] = [];
  readonly #pings: Buffer[] = [];
  #initialWindow = 65_535;
  #maxFrameSize = defaultMaxFrameSize;
  #granted = 65_535;
  #sent = 0;
  #regained = 65_535;
  #block: { streamId: number; flags: number; parts: Buffer[] } | undefined;

  constructor({ limits, keepsBodies, onViolation }: ViewDeps) {
    this.#limits = limits;
    this.#keepsBodies = keepsBodies;
    this.#onViolation = onViolation;
  }

  /** Bytes of an incomplete frame of the peer. */
  get begunBytes(): number {
    return this.#up.restBytes;
  }

  /** Bytes of DATA that the peer may send. */
  sendable({ sent, regained }: Pick<StreamView, 'sent' | 'regained'>): number {
    const { initialWindowSize } = this.#limits;
    return Math.min(initialWindowSize - sent + regained, this.#regained - this.#sent);
  }

  /** Records what the peer sends, without its preface. */
  says(bytes: Buffer): void {
    for (const frame of this.#up.frames(bytes)) this.#onSaid(frame);
  }

  /** Checks what the server sends. */
  hears(bytes: Buffer): void {
    for (const frame of this.#down.frames(bytes)) {
      try {
        this.#onHeard(frame);
      } catch (error) {
        this.#onViolation(messageOf(error));
      }
    }
  }

  #onSaid({ type, flags, streamId, payload }: FrameAt): void {
    // The first bit is reserved (RFC 9113 section 4.1).
    const id = streamId & maxInt31;
    const stream = this.streams.get(id);
    const word = payload.length === 4 ? payload.readUInt32BE(0) & maxInt31 : 0;
    if (type === FrameType.HEADERS && id > this.lastId && id % 2 === 1) {
      this.lastId = id;
      const counts = { sent: 0, regained: 0, granted: 0, heard: 0 };
      const hasSaidEnd = (flags & END_STREAM) !== 0;
      const response = { state: 'silent', reset: undefined } as const;
      this.streams.set(id, {
        ...counts,
        hasSaidEnd,
        ...response,
        fields: [],
        body: [],
        prefix: nothing,
        missing: 0,
      });
    } else if (type === FrameType.DATA) {
      this.#sent += payload.length;
      if (stream) stream.sent += payload.length;
      if (stream && (flags & END_STREAM) !== 0) stream.hasSaidEnd = true;
    } else if (type === FrameType.HEADERS) {
      if (stream && (flags & END_STREAM) !== 0) stream.hasSaidEnd = true;
    } else if (type === FrameType.WINDOW_UPDATE) {
      if (id === 0) this.#granted += word;
      else if (stream) stream.granted += word;
    } else if (type === FrameType.SETTINGS && (flags & ACK) === 0) {
      this.#settings.push(
        Array.from({ length: Math.floor(payload.length / 6) }, (_, at) => [
          payload.readUInt16BE(6 * at),
          payload.readUInt32BE(6 * at + 2),
        ]),
      );
    } else if (type === FrameType.PING && (flags & ACK) === 0) this.#pings.push(payload);
  }

  #onHeard(frame: FrameAt): void {
    const { type, flags, streamId: id, payload } = frame;
    const name = `${Object.keys(FrameType)[type] ?? type} on stream ${id}`;
    this.#check(payload.length <= this.#maxFrameSize, `${name} has ${payload.length} bytes`);
    this.#check(!this.goAway || this.goAway.code === 0, `${name} after the last GOAWAY`);
    this.#check(
      this.hasSettings || type === FrameType.SETTINGS || type === FrameType.GOAWAY,
      `${name} before SETTINGS`,
    );
    const goesOn = type === FrameType.CONTINUATION && this.#block?.streamId === id;
    this.#check(
      goesOn === (this.#block !== undefined),
      `${name} inside a header block, or outside`,
    );
    switch (type) {
      case FrameType.SETTINGS:
        return (flags & ACK) === 0 ? this.#onSettings() : this.#onSettingsAck();
      case FrameType.PING:
        if ((flags & ACK) === 0) this.unanswered.push(Buffer.from(payload));
        else this.#check(this.#pings.shift()?.equals(payload), `${name} answers none`);
        return;
      case FrameType.GOAWAY:
        return this.#onGoAway(payload);
      case FrameType.WINDOW_UPDATE:
        if (id === 0) return this.#onConnectionWindow(payload.readUInt32BE(0));
        break;
      default:
    }
    const stream = this.streams.get(id);
    if (!stream) throw new Error(`${name}: it was never opened`);
    if (type === FrameType.RST_STREAM) return this.#onReset(id, stream, payload);
    this.#check(stream.state !== 'ended', `${name} after END_STREAM`);
    this.#check(stream.reset === undefined, `${name} after RST_STREAM`);
    switch (type) {
      case FrameType.WINDOW_UPDATE:
        return this.#onWindow(stream, payload.readUInt32BE(0));
      case FrameType.DATA:
        return this.#onData(name, stream, frame);
      case FrameType.HEADERS:
        this.#block = { streamId: id, flags, parts: [payload] };
        break;
      case FrameType.CONTINUATION:
        this.#block?.parts.push(payload);
        break;
      default:
        throw new Error(`${name} is none that a server sends`);
    }
    if ((flags & END_HEADERS) !== 0) this.#onBlock(name, stream);
  }

  #onSettings(): void {
    this.hasSettings = true;
    this.unanswered.push('settings');
  }

  #onSettingsAck(): void {
    const applied = this.#settings.shift();
    if (!applied) throw new Error('SETTINGS are acknowledged that nobody has sent');
    for (const [id, value] of applied) {
      if (id === SettingId.INITIAL_WINDOW_SIZE) this.#initialWindow = value;
      if (id === SettingId.MAX_FRAME_SIZE) this.#maxFrameSize = value;
    }
  }

  #onGoAway(payload: Buffer): void {
    const lastId = payload.readUInt32BE(0);
    const before = this.goAway?.lastId ?? maxInt31;
    this.#check(lastId <= before, `GOAWAY says ${lastId} after ${before}`);
    this.#check(
      lastId === maxInt31 || lastId <= this.lastId,
      `GOAWAY says ${lastId} of ${this.lastId}`,
    );
    this.goAway = { code: payload.readUInt32BE(4), lastId };
  }

  #onConnectionWindow(increment: number): void {
    this.#check(increment > 0, 'the connection is given a window of 0');
    this.#regained += increment;
    const window = this.#regained - this.#sent;
    const { connectionWindowSize } = this.#limits;
    this.#check(window <= connectionWindowSize, `the connection has a window of ${window}`);
  }

  #onWindow(stream: StreamView, increment: number): void {
    this.#check(increment > 0, 'a stream is given a window of 0');
    stream.regained += increment;
    const { initialWindowSize, streamWindowSize } = this.#limits;
    const window = initialWindowSize - stream.sent + stream.regained;
    this.#check(window <= streamWindowSize, `a stream has a window of ${window}`);
  }

  #onReset(id: number, stream: StreamView, payload: Buffer): void {
    stream.reset ??= payload.readUInt32BE(0);
    this.resets.add(id);
  }

  #onData(name: string, stream: StreamView, { payload, flags }: FrameAt): void {
    this.#check(stream.state === 'begun', `${name} before HEADERS`);
    stream.heard += payload.length;
    this.heard += payload.length;
    const left = this.#initialWindow + stream.granted - stream.heard;
    this.#check(payload.length === 0 || left >= 0, `${name}: ${-left} bytes beyond its window`);
    const all = this.#granted - this.heard;
    this.#check(payload.length === 0 || all >= 0, `${name}: ${-all} bytes beyond all windows`);
    follow(stream, payload);
    if (this.#keepsBodies) stream.body.push(Buffer.from(payload));
    if ((flags & END_STREAM) !== 0) stream.state = 'ended';
  }

  #onBlock(name: string, stream: StreamView): void {
    const { flags = 0, parts = [] } = this.#block ?? {};
    this.#block = undefined;
    const isEnd = (flags & END_STREAM) !== 0;
    this.#check(stream.state === 'silent' || isEnd, `${name}: trailers that end nothing`);
    stream.fields.push(...this.#hpack.decode(Buffer.concat(parts)).fields);
    const isWhole = stream.prefix.length === 0 || !stream.fields.includes('grpc-status');
    this.#check(!isEnd || isWhole, `${name}: a status behind half a message`);
    stream.state = isEnd ? 'ended' : 'begun';
  }

  #check(holds: boolean | undefined, rule: string): void {
    if (!holds) throw new Error(rule);
  }
}

/** Follows the messages of a body (PROTOCOL-HTTP2.md, Length-Prefixed-Message). */
function follow(stream: StreamView, payload: Buffer): void {
  let rest = payload;
  while (rest.length > 0) {
    const { length } = stream.prefix;
    if (length < prefixLength) {
      stream.prefix = Buffer.concat([stream.prefix, rest.subarray(0, prefixLength - length)]);
      rest = rest.subarray(prefixLength - length);
      if (stream.prefix.length < prefixLength) return;
      stream.missing = stream.prefix.readUInt32BE(1);
    }
    const taken = Math.min(stream.missing, rest.length);
    stream.missing -= taken;
    rest = rest.subarray(taken);
    if (stream.missing === 0) stream.prefix = nothing;
  }
}

const nothing = Buffer.alloc(0);

/** Splits bytes of any length into frames. */
class Cutter {
  #rest: Buffer = nothing;

  get restBytes(): number {
    return this.#rest.length;
  }

  frames(bytes: Buffer): Iterable<FrameAt> {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let end = 0;
    while (all.length - end >= frameHeaderLength) {
      const next = end + frameHeaderLength + all.readUIntBE(end, 3);
      if (next > all.length) break;
      end = next;
    }
    this.#rest = Buffer.from(all.subarray(end));
    return framesIn(all.subarray(0, end));
  }
}
