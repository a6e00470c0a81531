import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { ErrorCode } from '../../src/engine/http2/errors.ts';
import {
  Flag,
  FrameType,
  frameHeaderLength,
  maxInt31,
  preface,
} from '../../src/engine/http2/frames.ts';
import { createHpackDecoder } from '../../src/engine/http2/hpack/decoder.ts';
import { valueOf } from '../../src/engine/http2/request_headers.ts';
import { frameOf } from '../support/http2_peer.ts';

/** Bytes that are sent together, and what to wait for before the next flight. */
export interface Flight {
  bytes: Buffer;
  /** Streams that end before the next flight. */
  ended?: readonly number[];
  /** Streams that have received so many bytes of their body. */
  received?: readonly (readonly [stream: number, bytes: number])[];
  /** No PING can follow, as it leaves a header block or a frame incomplete. */
  unfinished?: boolean;
  /** A server that takes it for a request answers it; others send nothing that could be awaited. */
  mayBeAnswered?: boolean;
}

/** The time limit of any event, in milliseconds. */
const bound = 10_000;
const settings = frameOf(FrameType.SETTINGS, 0, 0, Buffer.alloc(0));
const settingsAck = frameOf(FrameType.SETTINGS, Flag.ACK, 0, Buffer.alloc(0));
const codeNames = Object.fromEntries(Object.entries(ErrorCode).map(([name, code]) => [code, name]));

interface Frame {
  type: number;
  flags: number;
  streamId: number;
  payload: Buffer;
}

/** What the server has sent on a stream. */
interface Seen {
  status?: string;
  bytes: number;
  ended: boolean;
  /** The first RST_STREAM; later ones may differ. */
  reset?: string;
}

/** A plaintext connection to a server: sends flights, and describes their outcomes as text. */
export class Player {
  readonly #socket: Socket;
  readonly #hpack = createHpackDecoder({ maxHeaderListSize: 2 ** 20 });
  readonly #streams = new Map<number, Seen>();
  #rest: Buffer = Buffer.alloc(0);
  #pings = 0;
  #answered = 0;
  #hasSettings = false;
  #isGreeted = false;
  #goAway: string | undefined;
  #isClosed = false;
  #check = () => {};

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
      .setNoDelay(true)
      .on('data', (bytes: Buffer) => this.#onData(bytes))
      .on('error', () => {})
      .on('close', () => {
        this.#isClosed = true;
        this.#check();
      });
  }

  /** True if the connection has ended, with an error or without. */
  get isOver(): boolean {
    return this.#isClosed || (this.#goAway !== undefined && this.#goAway !== 'NO_ERROR');
  }

  /** Sends the preface and SETTINGS, and waits for both acknowledgements. */
  async greet(): Promise<void> {
    await once(this.#socket, 'connect');
    this.#socket.write(Buffer.concat([preface, settings]));
    await this.#until('SETTINGS', () => this.#hasSettings && this.#isGreeted);
    this.#socket.write(settingsAck);
  }

  /** Throws if an expected event does not occur within the time limit. */
  async send({ bytes, ended = [], received = [], ...how }: Flight): Promise<void> {
    this.#socket.write(bytes);
    if (how.unfinished) return;
    // A server may answer the first before it reports an error of earlier frames.
    const rounds = how.mayBeAnswered ? 30 : 2;
    for (let round = 0; round < rounds && !this.isOver; round++) {
      this.#pings++;
      const payload = Buffer.alloc(8);
      payload.writeUInt32BE(this.#pings);
      this.#socket.write(frameOf(FrameType.PING, 0, 0, payload));
      await this.#until(`PING ${this.#pings}`, () => this.#answered === this.#pings);
    }
    for (const id of ended) await this.#until(`the end of stream ${id}`, () => this.#hasEnded(id));
    for (const [id, least] of received) {
      const isThere = () => (this.#streams.get(id)?.bytes ?? 0) >= least;
      await this.#until(`${least} bytes of stream ${id}`, () => isThere() || this.#hasEnded(id));
    }
  }

  /** Ends the client's side, and waits for the end of the server's. */
  async finish(): Promise<void> {
    this.#socket.end();
    await this.#until('close', () => this.#isClosed);
  }

  /**
   * The outcome since the last call: of each stream, and of the connection. `about` is the stream without a number.
   */
  take(about = 1): string {
    const told = [...this.#streams]
      .toSorted(([a], [b]) => a - b)
      .map(([id, seen]) => (id === about ? tell(seen) : `${id}: ${tell(seen)}`));
    this.#streams.clear();
    if (this.#goAway !== undefined) told.push(`GOAWAY ${this.#goAway}`);
    else if (this.#isClosed) told.push('closed');
    if (this.#goAway === 'NO_ERROR' && this.#isClosed) told.push('closed');
    return told.join('; ') || 'nothing';
  }

  close(): void {
    this.#socket.destroy();
  }

  #hasEnded(id: number): boolean {
    const seen = this.#streams.get(id);
    return seen !== undefined && (seen.ended || seen.reset !== undefined);
  }

  async #until(what: string, isSo: () => boolean): Promise<void> {
    if (isSo() || this.isOver) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = setTimeout(() => {
      reject(new Error(`Cannot see ${what}: there is only ${this.take()}`));
    }, bound);
    this.#check = () => {
      if (isSo() || this.isOver) resolve();
    };
    try {
      await promise;
    } finally {
      clearTimeout(late);
      this.#check = () => {};
    }
  }

  #onData(bytes: Buffer): void {
    let rest = Buffer.concat([this.#rest, bytes]);
    // What follows a GOAWAY depends on timing.
    while (rest.length >= frameHeaderLength && !this.isOver) {
      const end = frameHeaderLength + rest.readUIntBE(0, 3);
      if (rest.length < end) break;
      this.#onFrame({
        type: rest.readUInt8(3),
        flags: rest.readUInt8(4),
        streamId: rest.readUInt32BE(5) & maxInt31,
        payload: rest.subarray(frameHeaderLength, end),
      });
      rest = rest.subarray(end);
    }
    this.#rest = rest;
    this.#check();
  }

  #onFrame(frame: Frame): void {
    const { type, flags, payload } = frame;
    const isAck = (flags & Flag.ACK) !== 0;
    if (type === FrameType.SETTINGS) {
      if (isAck) this.#isGreeted = true;
      else this.#hasSettings = true;
    }
    if (type === FrameType.PING && isAck) this.#answered = payload.readUInt32BE(0);
    if (type === FrameType.GOAWAY) this.#goAway = codeAt(payload, 4);
    if (type === FrameType.RST_STREAM) this.#stream(frame).reset ??= codeAt(payload, 0);
    if (type === FrameType.HEADERS) this.#onHeaders(frame);
    if (type === FrameType.DATA) {
      const seen = this.#stream(frame);
      seen.bytes += payload.length;
      seen.ended = (flags & Flag.END_STREAM) !== 0;
    }
  }

  /** None of these servers uses CONTINUATION or padding. */
  #onHeaders(frame: Frame): void {
    const seen = this.#stream(frame);
    seen.status = valueOf(this.#hpack.decode(frame.payload).fields, ':status') ?? 'no status';
    seen.ended = (frame.flags & Flag.END_STREAM) !== 0;
  }

  #stream({ streamId }: Frame): Seen {
    const seen = this.#streams.get(streamId) ?? { bytes: 0, ended: false };
    this.#streams.set(streamId, seen);
    return seen;
  }
}

function tell({ status, bytes, ended, reset }: Seen): string {
  const parts: string[] = [];
  if (status !== undefined) parts.push(status);
  // The message of an error response differs between servers.
  if (bytes > 0 && status === '200') parts.push(`${bytes} B`);
  if (!ended && reset === undefined) parts.push('open');
  if (reset !== undefined) parts.push(`RST_STREAM ${reset}`);
  return parts.join(' ');
}

function codeAt(bytes: Buffer, at: number): string {
  const code = bytes.readUInt32BE(at);
  return codeNames[code] ?? `${code}`;
}
