import { ConnectionError, WrongProtocol } from './errors.ts';
import type { Http2Limits } from './limits.ts';

/** RFC 9113 section 6. */
export const FrameType = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
} as const;

/** RFC 9113 section 6; ACK shares its bit with END_STREAM. */
export const Flag = {
  END_STREAM: 0x1,
  ACK: 0x1,
  END_HEADERS: 0x4,
  PADDED: 0x8,
  PRIORITY: 0x20,
} as const;

/** The bytes before a frame's payload: length, type, flags, stream (RFC 9113 section 4.1). */
export const frameHeaderLength = 9;

/** What every peer takes in a frame before it says otherwise (RFC 9113 section 6.5.2). */
export const defaultMaxFrameSize = 16_384;

/** The largest window, and the largest stream identifier. */
export const maxInt31 = 0x7f_ff_ff_ff;

/** What a client says first (RFC 9113 section 3.4). */
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/**
 * A frame as it came in. Its payload is `bytes` from `start` to `end`; it is valid only until the
 * function it is given to returns.
 */
export interface Frame {
  type: number;
  flags: number;
  streamId: number;
  bytes: Buffer;
  start: number;
  end: number;
}

/** Whether a SETTINGS or PING frame answers one of ours. */
export function isAck({ flags }: Frame): boolean {
  return (flags & Flag.ACK) !== 0;
}

/** Throws for a frame of a stream where only the connection has such frames. */
export function expectConnection({ streamId }: Frame): void {
  if (streamId === 0) return;
  throw new ConnectionError('PROTOCOL_ERROR', 'Cannot take a frame of the connection for a stream');
}

/** Throws for a payload of another length (RFC 9113 section 4.2). */
export function expectLength(frame: Frame, length: number): void {
  if (frame.end - frame.start !== length) throw wrongLength(frame);
}

/** FRAME_SIZE_ERROR that names the frame. */
export function wrongLength({ type, start, end }: Frame): ConnectionError {
  const what = `a frame of type ${type} and ${end - start} bytes`;
  return new ConnectionError('FRAME_SIZE_ERROR', `Cannot read ${what}`);
}

/** The payload of a DATA frame without its padding, the length of which comes first (RFC 9113 section 6.1). */
export function withoutPadding(frame: Frame): Buffer {
  const { bytes, start, end, flags } = frame;
  if ((flags & Flag.PADDED) === 0) return bytes.subarray(start, end);
  if (start === end) throw wrongLength(frame);
  const to = end - bytes.readUInt8(start);
  if (to < start + 1) {
    throw new ConnectionError('PROTOCOL_ERROR', 'Cannot take padding of that length');
  }
  return bytes.subarray(start + 1, to);
}

/**
 * Cuts what comes in, in pieces of any size, into frames. A frame that comes in pieces is copied
 * together, each byte once, so that a peer that dribbles costs no more than one that does not.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void;
  readonly #mustWait: () => boolean;
  #prefaceLeft = preface.length;
  /** The beginning of a frame whose rest has not come yet; its length is what is needed next. */
  #partial = empty;
  #filled = 0;
  /** What has come and not been looked at. */
  #rest: Buffer[] = [];
  #restBytes = 0;

  /** `mustWait` is asked after each frame whether the next ones are for goOn(). */
  constructor(onFrame: (frame: Frame) => void, mustWait: () => boolean = () => false) {
    this.#onFrame = onFrame;
    this.#mustWait = mustWait;
  }

  /** Whether the client has said that it speaks HTTP/2. */
  get hasPreface(): boolean {
    return this.#prefaceLeft === 0;
  }

  /** Bytes kept for a frame that has begun and not ended, and those that wait for goOn(). */
  get heldBytes(): number {
    return this.#partial.length + this.#restBytes;
  }

  /** Bytes that wait for goOn(). */
  get restBytes(): number {
    return this.#restBytes;
  }

  /** Throws a ConnectionError for a wrong preface and for a frame that is too large. */
  read(chunk: Buffer): void {
    if (this.#restBytes > 0) this.#putOff(chunk, 0);
    else this.#cut(chunk);
  }

  /** Goes on with what waits. Throws as read() does. */
  goOn(): void {
    const chunks = this.#rest;
    this.stop();
    for (const chunk of chunks) this.read(chunk);
  }

  /** Forgets what waits. */
  stop(): void {
    this.#rest = [];
    this.#restBytes = 0;
  }

  #cut(chunk: Buffer): void {
    let at = this.#prefaceLeft > 0 ? this.#readPreface(chunk) : 0;
    if (this.#filled > 0) at = this.#readRest(chunk, at);
    while (chunk.length - at >= frameHeaderLength) {
      if (this.#mustWait()) return this.#putOff(chunk, at);
      const end = at + frameHeaderLength + lengthAt(chunk, at);
      if (end > chunk.length) break;
      this.#emit(chunk, at, end);
      at = end;
    }
    if (at < chunk.length) this.#keep(chunk, at);
  }

  #putOff(chunk: Buffer, at: number): void {
    this.#rest.push(chunk.subarray(at));
    this.#restBytes += chunk.length - at;
  }

  /** RFC 9113 section 3.4: anything but the preface is a connection error. */
  #readPreface(chunk: Buffer): number {
    const from = preface.length - this.#prefaceLeft;
    const length = Math.min(this.#prefaceLeft, chunk.length);
    if (chunk.compare(preface, from, from + length, 0, length) !== 0) {
      throw wrongProtocol(preface.subarray(0, from), chunk.subarray(0, 16));
    }
    this.#prefaceLeft -= length;
    return length;
  }

  /** Adds to the frame that has begun; gives where the next one begins. */
  #readRest(chunk: Buffer, from: number): number {
    let at = from;
    while (this.#filled > 0 && at < chunk.length) {
      const length = Math.min(this.#partial.length - this.#filled, chunk.length - at);
      chunk.copy(this.#partial, this.#filled, at, at + length);
      this.#filled += length;
      at += length;
      if (this.#filled === this.#partial.length) this.#completePartial();
    }
    return at;
  }

  /** The header alone is complete, or the whole frame. */
  #completePartial(): void {
    const bytes = this.#partial;
    const end = frameHeaderLength + lengthAt(bytes, 0);
    if (end > bytes.length) {
      this.#partial = Buffer.allocUnsafe(end);
      bytes.copy(this.#partial);
      return;
    }
    this.#partial = empty;
    this.#filled = 0;
    this.#emit(bytes, 0, end);
  }

  #keep(chunk: Buffer, at: number): void {
    const length = chunk.length - at;
    const needed =
      length < frameHeaderLength ? frameHeaderLength : frameHeaderLength + lengthAt(chunk, at);
    this.#partial = Buffer.allocUnsafe(needed);
    this.#filled = chunk.copy(this.#partial, 0, at);
  }

  #emit(bytes: Buffer, at: number, end: number): void {
    this.#onFrame({
      type: bytes.readUInt8(at + 3),
      flags: bytes.readUInt8(at + 4),
      // The first bit is reserved (RFC 9113 section 4.1).
      streamId: bytes.readUInt32BE(at + 5) & maxInt31,
      bytes,
      start: at + frameHeaderLength,
      end,
    });
  }
}

const empty = Buffer.alloc(0);

/** RFC 9110 section 9.3, and PATCH. */
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

/** HTTP/1.1 begins with a method, TLS with the type of a handshake record. It may be all that has come. */
function wrongProtocol(before: Buffer, chunk: Buffer): WrongProtocol {
  const begin = Buffer.concat([before, chunk]);
  const wrong = (protocol: WrongProtocol['protocol'], message: string) =>
    new WrongProtocol(protocol, { message, before });
  if (begin[0] === 0x16) return wrong('tls', 'Cannot take TLS on a plaintext port');
  const text = begin.toString('latin1');
  const isMethod = (method: string) => text.startsWith(`${method} `) || method.startsWith(text);
  if (methods.some(isMethod)) return wrong('http1', 'Cannot take HTTP/1.1: this is a gRPC server');
  // In capitals alone somebody may mean a preface, and is told by GOAWAY.
  const isText = /^[\t\n\r -~]*$/.test(text) && /[a-z/]/.test(text) && !text.startsWith('PRI');
  return wrong(isText ? 'text' : 'unknown', 'Cannot read the connection preface');
}

/** RFC 9113 section 4.2: we never announce more than the default size. */
function lengthAt(bytes: Buffer, at: number): number {
  const length = bytes.readUIntBE(at, 3);
  if (length > defaultMaxFrameSize) {
    throw new ConnectionError('FRAME_SIZE_ERROR', `Cannot read a frame of ${length} bytes`);
  }
  return length;
}

/** A header block that has come in one frame or in several, and the stream it belongs to. */
export interface HeaderBlock {
  streamId: number;
  endStream: boolean;
  /** Valid until the next frame is read. */
  bytes: Buffer;
  /** The stream that it says it depends on, if it says so: RFC 9113 section 5.3.2 lets us ignore it. */
  dependsOn: number | undefined;
}

/**
 * Puts header blocks together out of HEADERS and CONTINUATION frames (RFC 9113 sections 6.2 and
 * 6.10). Nothing may come between them, and there are bounds on how many and how much: a peer could
 * go on for ever.
 */
export class HeaderBlockReader {
  readonly #maxFrames: number;
  readonly #maxBytes: number;
  #block: HeaderBlock | undefined;
  #parts: Buffer[] = [];
  #length = 0;

  constructor({ maxHeaderFrames, maxHeaderBlockSize }: Http2Limits) {
    this.#maxFrames = maxHeaderFrames;
    this.#maxBytes = maxHeaderBlockSize;
  }

  /** Bytes kept of a block that has begun and not ended. */
  get heldBytes(): number {
    return this.#length;
  }

  /** Throws a ConnectionError for a frame that may not stand here. */
  expect(frame: Frame): void {
    if (this.#block === undefined) return;
    if (frame.type !== FrameType.CONTINUATION || frame.streamId !== this.#block.streamId) {
      throw new ConnectionError('PROTOCOL_ERROR', 'Cannot take a frame inside a header block');
    }
  }

  /** Gives the block that a HEADERS frame begins, if it is whole. */
  headers(frame: Frame): HeaderBlock | undefined {
    const { bytes, start, end, flags, streamId } = frame;
    const isPadded = (flags & Flag.PADDED) !== 0;
    const hasPriority = (flags & Flag.PRIORITY) !== 0;
    const at = start + (isPadded ? 1 : 0) + (hasPriority ? 5 : 0);
    if (at > end) throw wrongLength(frame);
    const to = isPadded ? end - bytes.readUInt8(start) : end;
    const dependsOn = hasPriority ? bytes.readUInt32BE(at - 5) & maxInt31 : undefined;
    // Padding that is longer than what is there (section 6.2).
    if (at > to) throw new ConnectionError('PROTOCOL_ERROR', 'Cannot take padding of that length');
    const endStream = (flags & Flag.END_STREAM) !== 0;
    const block = { streamId, endStream, bytes: bytes.subarray(at, to), dependsOn };
    if ((flags & Flag.END_HEADERS) !== 0) return block;
    this.#block = block;
    this.#add(block.bytes);
    return undefined;
  }

  /** Gives the block that a CONTINUATION frame goes on with, if it is whole. */
  continuation({ bytes, start, end, flags }: Frame): HeaderBlock | undefined {
    const block = this.#block;
    if (!block) throw new ConnectionError('PROTOCOL_ERROR', 'Cannot go on with no header block');
    this.#add(bytes.subarray(start, end));
    if ((flags & Flag.END_HEADERS) === 0) return undefined;
    const whole = Buffer.concat(this.#parts);
    this.#block = undefined;
    this.#forget();
    return { ...block, bytes: whole };
  }

  #add(part: Buffer): void {
    // The frame's bytes are gone when the next one is read.
    this.#parts.push(Buffer.from(part));
    this.#length += part.length;
    if (this.#parts.length > this.#maxFrames || this.#length > this.#maxBytes) {
      // The connection stays for a moment, so that the peer can read why it goes.
      this.#forget();
      throw new ConnectionError('ENHANCE_YOUR_CALM', 'Cannot take a header block of that length');
    }
  }

  #forget(): void {
    this.#parts = [];
    this.#length = 0;
  }
}
