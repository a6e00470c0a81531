import { ConnectionError, WrongProtocol } from './errors.ts';
import { defaultMaxFrameSize, type Frame, frameHeaderLength, maxInt31, preface } from './frame.ts';

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
      throw wrongProtocol(Buffer.concat([preface.subarray(0, from), chunk.subarray(0, 16)]));
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
function wrongProtocol(begin: Buffer): WrongProtocol {
  if (begin[0] === 0x16) return new WrongProtocol('tls', 'Cannot take TLS on a plaintext port');
  const text = begin.toString('latin1');
  const isMethod = (method: string) => text.startsWith(`${method} `) || method.startsWith(text);
  if (methods.some(isMethod))
    return new WrongProtocol('http1', 'Cannot take HTTP/1.1: this is a gRPC server');
  return new WrongProtocol('unknown', 'Cannot read the connection preface');
}

/** RFC 9113 section 4.2: we never announce more than the default size. */
function lengthAt(bytes: Buffer, at: number): number {
  const length = bytes.readUIntBE(at, 3);
  if (length > defaultMaxFrameSize) {
    throw new ConnectionError('FRAME_SIZE_ERROR', `Cannot read a frame of ${length} bytes`);
  }
  return length;
}
