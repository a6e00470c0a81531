import { ownCopy, withOwnMemory } from '../buffers.ts';
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

/** RFC 9113 section 6; ACK and END_STREAM are the same bit. */
export const Flag = {
  END_STREAM: 0x1,
  ACK: 0x1,
  END_HEADERS: 0x4,
  PADDED: 0x8,
  PRIORITY: 0x20,
} as const;

/** The octets before a frame's payload: length, type, flags, stream identifier (RFC 9113 section 4.1). */
export const frameHeaderLength = 9;

/** The initial value of SETTINGS_MAX_FRAME_SIZE (RFC 9113 section 6.5.2). */
export const defaultMaxFrameSize = 16_384;

/** The maximum of windows and stream identifiers. */
export const maxInt31 = 0x7f_ff_ff_ff;

/** The client connection preface (RFC 9113 section 3.4). */
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** A received frame. Its payload is `bytes` from `start` to `end`, and is valid until the callback returns. */
export interface Frame {
  type: number;
  flags: number;
  streamId: number;
  bytes: Buffer;
  start: number;
  end: number;
}

/** True for a SETTINGS or PING frame that acknowledges one of the server's. */
export function isAck({ flags }: Frame): boolean {
  return (flags & Flag.ACK) !== 0;
}

/** Throws a ConnectionError if a frame that belongs to the connection names a stream. */
export function expectConnection({ streamId }: Frame): void {
  if (streamId === 0) return;
  throw new ConnectionError(
    'PROTOCOL_ERROR',
    'Cannot accept a frame of the connection for a stream',
  );
}

/** Throws a ConnectionError if the payload has another length (RFC 9113 section 4.2). */
export function expectLength(frame: Frame, length: number): void {
  if (frame.end - frame.start !== length) throw wrongLength(frame);
}

/** FRAME_SIZE_ERROR; the message names the frame. */
export function wrongLength({ type, start, end }: Frame): ConnectionError {
  const what = `a frame of type ${type} and ${end - start} bytes`;
  return new ConnectionError('FRAME_SIZE_ERROR', `Cannot read ${what}`);
}

/** The payload of a DATA frame without its padding (RFC 9113 section 6.1). */
export function withoutPadding(frame: Frame): Buffer {
  const { bytes, start, end, flags } = frame;
  if ((flags & Flag.PADDED) === 0) return bytes.subarray(start, end);
  if (start === end) throw wrongLength(frame);
  const to = end - bytes.readUInt8(start);
  if (to < start + 1) {
    throw new ConnectionError('PROTOCOL_ERROR', 'Cannot accept padding of that length');
  }
  return bytes.subarray(start + 1, to);
}

/**
 * Splits the input into frames. Each byte of a fragmented frame is copied once, so that a peer that sends byte by
 * byte costs no more than others.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void;
  readonly #mustWait: () => boolean;
  #prefaceLeft = preface.length;
  /** The start of an incomplete frame, in a buffer of its own that grows as it arrives. */
  #partial = empty;
  #filled = 0;
  #frames = 0;
  /** Unprocessed input. */
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** The memory of the last part of it, if that is joined from several. */
  #joined: Buffer | undefined;

  /** `mustWait` is called after each frame; if it returns true, the rest waits for goOn(). */
  constructor(onFrame: (frame: Frame) => void, mustWait: () => boolean = () => false) {
    this.#onFrame = onFrame;
    this.#mustWait = mustWait;
  }

  /** True once the client's connection preface has arrived. */
  get hasPreface(): boolean {
    return this.#prefaceLeft === 0;
  }

  /** The number of frames read so far. */
  get frames(): number {
    return this.#frames;
  }

  /** Bytes of an incomplete frame and of unprocessed input. */
  get heldBytes(): number {
    return this.#partial.length + this.#restBytes;
  }

  /** Bytes that wait for goOn(). */
  get restBytes(): number {
    return this.#restBytes;
  }

  /** Throws a ConnectionError for an invalid preface or a frame that is too large. */
  read(chunk: Buffer): void {
    if (this.#restBytes > 0) this.#putOff(chunk, 0);
    else this.#cut(chunk);
  }

  /** Continues with unprocessed input. Throws as read() does. */
  goOn(): void {
    const chunks = this.#rest;
    this.stop();
    for (const chunk of chunks) this.read(chunk);
  }

  /** Drops unprocessed input. */
  stop(): void {
    this.#rest = [];
    this.#restBytes = 0;
    this.#joined = undefined;
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
    // A view would keep the whole chunk. As each is copied when half is left, no byte is copied more than twice.
    const more = withOwnMemory(chunk.subarray(at));
    this.#restBytes += more.length;
    const last = this.#rest.at(-1);
    const length = (last?.length ?? joinedSize) + more.length;
    // Each buffer takes hundreds of bytes, so small parts are joined.
    if (!last || length > joinedSize) {
      this.#rest.push(more);
      this.#joined = undefined;
      return;
    }
    if (!this.#joined) {
      this.#joined = Buffer.allocUnsafeSlow(joinedSize);
      last.copy(this.#joined);
    }
    more.copy(this.#joined, last.length);
    this.#rest[this.#rest.length - 1] = this.#joined.subarray(0, length);
  }

  /** RFC 9113 section 3.4: an invalid preface is a connection error. */
  #readPreface(chunk: Buffer): number {
    const from = preface.length - this.#prefaceLeft;
    const length = Math.min(this.#prefaceLeft, chunk.length);
    if (chunk.compare(preface, from, from + length, 0, length) !== 0) {
      throw wrongProtocol(preface.subarray(0, from), chunk.subarray(0, 16));
    }
    this.#prefaceLeft -= length;
    return length;
  }

  /** Adds to the incomplete frame; returns where the next frame starts. */
  #readRest(chunk: Buffer, from: number): number {
    let at = from;
    while (this.#filled > 0 && at < chunk.length) {
      if (this.#filled === this.#partial.length) this.#grow(chunk.length - at);
      const length = Math.min(this.#partial.length - this.#filled, chunk.length - at);
      chunk.copy(this.#partial, this.#filled, at, at + length);
      this.#filled += length;
      at += length;
      if (this.#filled >= frameHeaderLength) this.#completePartial();
    }
    return at;
  }

  /** Makes room for `more` bytes, or as many as the incomplete frame needs. */
  #grow(more: number): void {
    const partial = Buffer.allocUnsafeSlow(capacityFor(this.#partial, more));
    this.#partial.copy(partial);
    this.#partial = partial;
  }

  #completePartial(): void {
    const bytes = this.#partial;
    const end = frameHeaderLength + lengthAt(bytes, 0);
    if (end > this.#filled) return;
    this.#partial = empty;
    this.#filled = 0;
    this.#emit(bytes, 0, end);
  }

  #keep(chunk: Buffer, at: number): void {
    const start = chunk.subarray(at);
    this.#partial = Buffer.allocUnsafeSlow(capacityFor(start, 0));
    this.#filled = start.copy(this.#partial);
  }

  #emit(bytes: Buffer, at: number, end: number): void {
    this.#frames++;
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

/** The size of joined parts of deferred input. */
const joinedSize = 1024;

/**
 * The capacity of a buffer for the start of a frame and so many more bytes: what the frame header needs, then at most
 * what the frame needs, and at most twice what has arrived.
 */
function capacityFor(start: Buffer, more: number): number {
  if (start.length < frameHeaderLength) return frameHeaderLength;
  return Math.min(frameHeaderLength + lengthAt(start, 0), 2 * start.length + more);
}

/** The methods of RFC 9110 section 9.3, and PATCH. */
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

/**
 * An HTTP/1.1 request starts with a method, TLS with the content type of a handshake record. More may not have
 * arrived.
 */
function wrongProtocol(before: Buffer, chunk: Buffer): WrongProtocol {
  const begin = Buffer.concat([before, chunk]);
  const wrong = (protocol: WrongProtocol['protocol'], message: string) =>
    new WrongProtocol(protocol, { message, before });
  if (begin[0] === 0x16) return wrong('tls', 'Cannot accept TLS on a plaintext port');
  const text = begin.toString('latin1');
  const isMethod = (method: string) => text.startsWith(`${method} `) || method.startsWith(text);
  if (methods.some(isMethod))
    return wrong('http1', 'Cannot accept HTTP/1.1: this is a gRPC server');
  // Text in capitals only may be an attempt at a preface, which GOAWAY answers.
  const isText = /^[\t\n\r -~]*$/.test(text) && /[a-z/]/.test(text) && !text.startsWith('PRI');
  return wrong(isText ? 'text' : 'unknown', 'Cannot read the connection preface');
}

/** RFC 9113 section 4.2: the server never announces more than the default size. */
function lengthAt(bytes: Buffer, at: number): number {
  const length = bytes.readUIntBE(at, 3);
  if (length > defaultMaxFrameSize) {
    throw new ConnectionError('FRAME_SIZE_ERROR', `Cannot read a frame of ${length} bytes`);
  }
  return length;
}

/** The memory of a part of a header block beside its bytes. */
export const partCost = 256;

/** A complete header block with its stream. */
export interface HeaderBlock {
  streamId: number;
  endStream: boolean;
  /** Valid until the next frame is read. */
  bytes: Buffer;
  /** The stream dependency, if HEADERS has one, which is ignored (RFC 9113 section 5.3.2). */
  dependsOn: number | undefined;
}

/**
 * Joins HEADERS and CONTINUATION frames to header blocks (RFC 9113 sections 6.2 and 6.10). No other frame may come
 * between them, and their number and size are limited (the CONTINUATION flood, VU#421644).
 */
export class HeaderBlockReader {
  readonly #maxFrames: number;
  readonly #maxBytes: number;
  /** The open block, without its bytes, which are a part of the frame. */
  #block: Omit<HeaderBlock, 'bytes'> | undefined;
  #parts: Buffer[] = [];
  #length = 0;

  constructor({ maxHeaderFrames, maxHeaderBlockSize }: Http2Limits) {
    this.#maxFrames = maxHeaderFrames;
    this.#maxBytes = maxHeaderBlockSize;
  }

  /** The memory of an incomplete block, in bytes. */
  get heldBytes(): number {
    return this.#length + this.#parts.length * partCost;
  }

  /** Throws a ConnectionError for a frame that must not interrupt a header block. */
  expect(frame: Frame): void {
    if (this.#block === undefined) return;
    if (frame.type !== FrameType.CONTINUATION || frame.streamId !== this.#block.streamId) {
      throw new ConnectionError('PROTOCOL_ERROR', 'Cannot accept a frame inside a header block');
    }
  }

  /** Returns the block of a HEADERS frame, if it is complete. */
  headers(frame: Frame): HeaderBlock | undefined {
    const { bytes, start, end, flags, streamId } = frame;
    const isPadded = (flags & Flag.PADDED) !== 0;
    const hasPriority = (flags & Flag.PRIORITY) !== 0;
    const at = start + (isPadded ? 1 : 0) + (hasPriority ? 5 : 0);
    if (at > end) throw wrongLength(frame);
    const to = isPadded ? end - bytes.readUInt8(start) : end;
    const dependsOn = hasPriority ? bytes.readUInt32BE(at - 5) & maxInt31 : undefined;
    // The padding exceeds the payload (section 6.2).
    if (at > to)
      throw new ConnectionError('PROTOCOL_ERROR', 'Cannot accept padding of that length');
    const endStream = (flags & Flag.END_STREAM) !== 0;
    const part = bytes.subarray(at, to);
    if ((flags & Flag.END_HEADERS) !== 0) return { streamId, endStream, bytes: part, dependsOn };
    this.#block = { streamId, endStream, dependsOn };
    this.#add(part);
    return undefined;
  }

  /** Returns the block that a CONTINUATION frame continues, if it is complete. */
  continuation({ bytes, start, end, flags }: Frame): HeaderBlock | undefined {
    const block = this.#block;
    if (!block)
      throw new ConnectionError('PROTOCOL_ERROR', 'Cannot continue a header block: none is open');
    this.#add(bytes.subarray(start, end));
    if ((flags & Flag.END_HEADERS) === 0) return undefined;
    const whole = Buffer.concat(this.#parts);
    this.#block = undefined;
    this.#forget();
    return { ...block, bytes: whole };
  }

  #add(part: Buffer): void {
    // Copied, as the frame's bytes are overwritten when the next one is read.
    this.#parts.push(ownCopy(part));
    this.#length += part.length;
    if (this.#parts.length > this.#maxFrames || this.#length > this.#maxBytes) {
      // Freed at once, as the connection stays open for a moment so that the peer can read GOAWAY.
      this.#forget();
      throw new ConnectionError('ENHANCE_YOUR_CALM', 'Cannot accept a header block of that length');
    }
  }

  #forget(): void {
    this.#parts = [];
    this.#length = 0;
  }
}
