import { ConnectionError } from './errors.ts';
import { Flag, type Frame, FrameType, maxInt31, wrongLength } from './frame.ts';
import type { Http2Limits } from './limits.ts';

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
