import { Flag, frameHeaderLength, FrameType } from './frame.ts';

const chunkSize = 32 * 1024;
/** A rest that is smaller serves nobody. */
const leastChunk = 1024;
const mostSpare = 256;
/** What connections have not filled of their chunks: one that is idle holds none. */
const spare: Buffer[] = [];

/**
 * The frames that wait to be written to one connection. Everything of one turn is gathered in one
 * buffer, and leaves in one write.
 */
export class Output {
  #chunk: Buffer = empty;
  #filled = 0;
  readonly #full: Buffer[] = [];
  #fullLength = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#fullLength + this.#filled;
  }

  /**
   * Everything that waits, as few buffers, or where that is more than `most` bytes, about so many of them;
   * the buffers are the caller's from now on.
   */
  take(most = Number.POSITIVE_INFINITY): Buffer[] {
    if (this.length > most) return this.#takeFirst(most);
    const taken = this.#full.splice(0);
    if (this.#filled > 0) taken.push(this.#chunk.subarray(0, this.#filled));
    // What is left of the chunk serves the next turn, of whichever connection.
    const rest = this.#chunk.subarray(this.#filled);
    if (rest.length >= leastChunk && spare.length < mostSpare) spare.push(rest);
    this.#chunk = empty;
    this.#filled = 0;
    this.#fullLength = 0;
    return taken;
  }

  #takeFirst(most: number): Buffer[] {
    let count = 0;
    let length = 0;
    for (const bytes of this.#full) {
      if (length >= most) break;
      length += bytes.length;
      count++;
    }
    this.#fullLength -= length;
    return this.#full.splice(0, count);
  }

  /** A whole frame with this payload. */
  frame(type: number, flags: number, streamId: number, payload: Uint8Array = empty): void {
    this.frameHeader(payload.length, type, flags, streamId);
    this.bytes(payload);
  }

  /** A HEADERS frame, and CONTINUATION frames where it is too small (RFC 9113 section 6.10). */
  headers(
    streamId: number,
    block: Buffer,
    how: { endStream: boolean; maxFrameSize: number },
  ): void {
    const { maxFrameSize } = how;
    const endStream = how.endStream ? Flag.END_STREAM : 0;
    // Nearly every block; a view of it would cost more than to copy it.
    if (block.length <= maxFrameSize) {
      return this.frame(FrameType.HEADERS, endStream | Flag.END_HEADERS, streamId, block);
    }
    this.frame(FrameType.HEADERS, endStream, streamId, block.subarray(0, maxFrameSize));
    for (let at = maxFrameSize; at < block.length; at += maxFrameSize) {
      const part = block.subarray(at, at + maxFrameSize);
      const last = at + part.length === block.length ? Flag.END_HEADERS : 0;
      this.frame(FrameType.CONTINUATION, last, streamId, part);
    }
  }

  /** A frame of four bytes: RST_STREAM with an error code, or WINDOW_UPDATE with an increment. */
  word(type: number, streamId: number, value: number): void {
    this.frameHeader(4, type, 0, streamId);
    this.#room(4);
    this.#filled = this.#chunk.writeUInt32BE(value, this.#filled);
  }

  /** What comes before a payload of this length, which is to follow with bytes(). */
  frameHeader(length: number, type: number, flags: number, streamId: number): void {
    this.#room(frameHeaderLength);
    const chunk = this.#chunk;
    chunk.writeUInt32BE(length * 256 + type, this.#filled);
    chunk.writeUInt8(flags, this.#filled + 4);
    this.#filled = chunk.writeUInt32BE(streamId, this.#filled + 5);
  }

  /** A part of a payload. */
  bytes(bytes: Uint8Array): void {
    if (bytes.length > chunkSize / 2) {
      this.#pushFilled();
      this.#push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
      return;
    }
    this.#room(bytes.length);
    this.#chunk.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  #room(bytes: number): void {
    if (this.#chunk.length - this.#filled >= bytes) return;
    this.#pushFilled();
    const chunk = spare.pop();
    this.#chunk = chunk && chunk.length >= bytes ? chunk : Buffer.allocUnsafeSlow(chunkSize);
  }

  #pushFilled(): void {
    if (this.#filled > 0) this.#push(this.#chunk.subarray(0, this.#filled));
    this.#chunk = this.#chunk.subarray(this.#filled);
    this.#filled = 0;
  }

  #push(bytes: Buffer): void {
    this.#full.push(bytes);
    this.#fullLength += bytes.length;
  }
}

const empty = Buffer.alloc(0);
