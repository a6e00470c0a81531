import type { Account } from '../account.ts';
import { withOwnMemory } from '../buffers.ts';
import { SendWindow } from './flow_control.ts';
import { Flag, FrameType, maxInt31, frameHeaderLength } from './frames.ts';
import { encodeTableSizeUpdate } from './hpack/encoder.ts';
import type { Http2Limits } from './limits.ts';
import type { PeerSettings } from './settings.ts';
import type { Stream } from './stream.ts';

/**
 * Starts the first header block of a connection, as the encoder never uses the dynamic table. A peer that announces a
 * smaller table expects a size update (RFC 9113 section 4.3.1), and no table is smaller than 0.
 */
const noTable = encodeTableSizeUpdate(0);

/** Bytes of output above which DATA waits for the socket. */
const fullOutput = 128 * 1024;

/** The maximum payload of a DATA frame, whatever the peer's MAX_FRAME_SIZE, so that streams alternate. */
const longestData = 64 * 1024;

/**
 * The maximum size of the last part of a response that is sent before queued streams: less than the smallest
 * MAX_FRAME_SIZE.
 */
const smallRest = 4096;

interface SenderDeps {
  peer: PeerSettings;
  limits: Http2Limits;
  account: Account;
  /** Bytes in the socket's write buffer. */
  unsent: () => number;
  /** Called when the last frame of a response has been sent. */
  onEnded: (stream: Stream) => void;
}

/**
 * Sends control frames and headers at once, and DATA as flow control allows (RFC 9113 section 5.2), one frame of each
 * stream in turn.
 */
export class Sender {
  readonly output = new Output();
  readonly window: SendWindow;
  readonly #peer: PeerSettings;
  readonly #onEnded: (stream: Stream) => void;
  readonly #limits: Http2Limits;
  readonly #account: Account;
  readonly #unsent: () => number;
  /** Streams with DATA to send and an open window, in round-robin order. */
  readonly #line: Stream[] = [];
  /** The number of HEADERS and DATA frames sent. */
  responseFrames = 0;
  #saidNoTable = false;
  #queuedCost = 0;
  #hasLeftOut = false;
  /** The last stream identifier of the last GOAWAY. */
  #lastServed = maxInt31;

  constructor({ peer, limits, account, unsent, onEnded }: SenderDeps) {
    this.#peer = peer;
    this.#limits = limits;
    this.#account = account;
    this.#unsent = unsent;
    this.#onEnded = onEnded;
    this.window = new SendWindow(65_535);
  }

  /** The cost of DATA that waits for a window or for the socket. */
  get queuedCost(): number {
    return this.#queuedCost;
  }

  /** True if DATA only waits for the socket. */
  get wantsToSend(): boolean {
    return this.#line.length > 0 && this.window.available > 0;
  }

  /** True if a header block was dropped for lack of memory, so that the connection must end. */
  get hasLeftOut(): boolean {
    return this.#hasLeftOut;
  }

  /** Bytes that the peer has not read, as far as the server knows. */
  get unreadBytes(): number {
    return this.output.length + this.#unsent();
  }

  /** Bytes that may be queued for the peer, whatever the byte limit. */
  get #room(): number {
    return this.#limits.maxUnreadBytes - this.unreadBytes;
  }

  headers(stream: Stream, block: Buffer, endStream: boolean): void {
    if (block.length > this.#room && !this.#account.mayGrow) this.#hasLeftOut = true;
    if (!this.#hasLeftOut) this.#putHeaders(stream, block, endStream);
    if (endStream) this.#onEnded(stream);
  }

  #putHeaders(stream: Stream, block: Buffer, endStream: boolean): void {
    const whole = this.#saidNoTable ? block : Buffer.concat([noTable, block]);
    this.#saidNoTable = true;
    this.responseFrames++;
    this.output.headers(stream.id, whole, { endStream, maxFrameSize: this.#peer.maxFrameSize });
  }

  /** Sends or queues a part of a body. Returns false if the writer should wait. */
  send(stream: Stream, bytes: Uint8Array): boolean {
    // The connection ends in this turn: no DATA may follow HEADERS that were dropped.
    if (this.#hasLeftOut) return false;
    if (bytes.length > 0) {
      if (this.#sendAtOnce(stream, bytes)) return true;
      const before = stream.queuedCost;
      stream.queue(bytes);
      this.#queuedCost += stream.queuedCost - before;
      this.queued(stream);
    }
    const { connectionBufferSize, streamBufferSize } = this.#limits;
    return stream.queuedCost < streamBufferSize && this.#queuedCost < connectionBufferSize;
  }

  /** A small last part of a response need not queue, as nothing follows it. */
  #sendAtOnce(stream: Stream, bytes: Uint8Array): boolean {
    const room = Math.min(smallRest, stream.sendWindow.available, this.window.available);
    const isLast = stream.isEnding && stream.queued === 0;
    if (!isLast || bytes.length > room || this.output.length >= fullOutput) return false;
    const endStream = stream.trailers === undefined;
    this.#beginFrame(stream, bytes.length, endStream);
    this.output.bytes(bytes);
    if (endStream) this.#onEnded(stream);
    else this.#end(stream);
    return true;
  }

  /** Queues a stream that has DATA; one without DATA is ended at once. */
  queued(stream: Stream): void {
    if (this.#hasLeftOut) return;
    if (stream.queued === 0) {
      if (stream.isEnding) this.#end(stream);
    } else if (stream.sendWindow.available > 0 && stream.enterLine()) this.#line.push(stream);
  }

  /**
   * Sends the parts that fit completely into the windows and the output, and drops the others. Returns false if a
   * part has been sent in part.
   */
  cutShort(stream: Stream): boolean {
    const room = Math.min(stream.sendWindow.available, this.window.available, this.#room / 2);
    let whole = stream.wholeParts(room);
    while (whole > 0) {
      const length = Math.min(whole, this.#maxData);
      this.#beginFrame(stream, length, false);
      this.#move(stream, length);
      whole -= length;
    }
    this.drop(stream);
    return !stream.isSplit;
  }

  drop(stream: Stream): void {
    if (stream.leaveLine()) this.#line.splice(this.#line.indexOf(stream), 1);
    this.#queuedCost -= stream.queuedCost;
    stream.dropQueue();
  }

  /** Sends DATA as far as the windows and the output allow. */
  flush(): void {
    while (this.window.available > 0 && this.output.length < fullOutput) {
      const stream = this.#line.shift();
      if (!stream) return;
      stream.leaveLine();
      // SETTINGS may have closed the window since the stream was queued (section 6.9.2).
      if (stream.sendWindow.available <= 0) continue;
      this.#sendFrame(stream);
      if (stream.queued > 0) this.queued(stream);
      if (stream.queuedCost < this.#limits.streamBufferSize / 2) stream.drained();
    }
  }

  #sendFrame(stream: Stream): void {
    const { sendWindow } = stream;
    const most = Math.min(sendWindow.available, this.window.available, this.#maxData);
    const length = Math.min(stream.queued, most);
    const last = length === stream.queued && stream.isEnding;
    const endStream = last && stream.trailers === undefined;
    this.#beginFrame(stream, length, endStream);
    this.#move(stream, length);
    if (endStream) this.#onEnded(stream);
    else if (last) this.#end(stream);
  }

  get #maxData(): number {
    return Math.min(this.#peer.maxFrameSize, longestData);
  }

  /** Writes the header of a DATA frame and updates the windows. */
  #beginFrame(stream: Stream, length: number, endStream: boolean): void {
    const flags = endStream ? Flag.END_STREAM : 0;
    this.responseFrames++;
    this.output.frameHeader(length, FrameType.DATA, flags, stream.id);
    stream.sendWindow.take(length);
    this.window.take(length);
  }

  #move(stream: Stream, length: number): void {
    const before = stream.queuedCost;
    stream.moveTo(this.output, length);
    this.#queuedCost += stream.queuedCost - before;
  }

  #end(stream: Stream): void {
    if (stream.trailers) this.headers(stream, stream.trailers, true);
    else {
      this.output.frame(FrameType.DATA, Flag.END_STREAM, stream.id);
      this.#onEnded(stream);
    }
  }

  reset(streamId: number, code: number): void {
    this.output.word(FrameType.RST_STREAM, streamId, code);
  }

  windowUpdate(streamId: number, increment: number): void {
    if (increment > 0) this.output.word(FrameType.WINDOW_UPDATE, streamId, increment);
  }

  /** GOAWAY names the lowest identifier so far, as the peer may have retried later streams. */
  goAway(lastStreamId: number, code: number, debug = ''): void {
    // RFC 9113 section 6.8.
    this.#lastServed = Math.min(this.#lastServed, lastStreamId);
    const payload = Buffer.alloc(8 + debug.length);
    payload.writeUInt32BE(this.#lastServed);
    payload.writeUInt32BE(code, 4);
    payload.write(debug, 8, 'latin1');
    this.output.frame(FrameType.GOAWAY, 0, 0, payload);
  }
}

const chunkSize = 32 * 1024;
/** A smaller remainder of a chunk is not reused. */
const minChunk = 1024;
const maxSpare = 256;
/** Remainders of chunks that any connection may use, so that an idle connection holds none. */
const spare: Buffer[] = [];

/** The pending output of one connection. Frames of a turn are gathered in one buffer and sent in one write. */
export class Output {
  #chunk: Buffer = empty;
  #filled = 0;
  readonly #full: Buffer[] = [];
  #fullLength = 0;
  /** True if no other connection uses the memory of the chunk. */
  #isOwn = false;
  /** The number of full buffers that compact() has examined. */
  #compacted = 0;

  /** The number of pending bytes. */
  get length(): number {
    return this.#fullLength + this.#filled;
  }

  /** Returns the pending output in few buffers, or about `most` bytes of it. The buffers belong to the caller. */
  take(most = Number.POSITIVE_INFINITY): Buffer[] {
    if (this.length > most) return this.#takeFirst(most);
    const taken = this.#full.splice(0);
    if (this.#filled > 0) taken.push(this.#chunk.subarray(0, this.#filled));
    // The rest of the chunk serves the next turn of any connection.
    this.#replaceChunk(empty, this.#chunk.subarray(this.#filled));
    this.#filled = 0;
    this.#fullLength = 0;
    this.#compacted = 0;
    return taken;
  }

  /**
   * Must be called when output stays pending after a turn. It moves parts of chunks, which other connections use as
   * well, to memory of their own: a few bytes would keep a whole chunk. That memory grows with the output, so that
   * many small frames are not kept in as many buffers.
   */
  compact(): void {
    for (; this.#compacted < this.#full.length; this.#compacted++) {
      const bytes = this.#full[this.#compacted];
      if (bytes) this.#full[this.#compacted] = withOwnMemory(bytes);
    }
    if (!this.#isOwn && 2 * this.#filled < this.#chunk.buffer.byteLength)
      this.#moveTo(this.#filled);
  }

  /** Moves the filled part of the chunk to own memory for about so many bytes. */
  #moveTo(capacity: number): void {
    const shared = this.#chunk;
    const own = capacity === 0 ? empty : Buffer.allocUnsafeSlow(Math.min(2 * capacity, chunkSize));
    shared.copy(own, 0, 0, this.#filled);
    this.#replaceChunk(own, shared);
    this.#isOwn = true;
  }

  /** Replaces the chunk, of which the given part may serve others. */
  #replaceChunk(chunk: Buffer, unused: Buffer): void {
    if (!this.#isOwn && unused.length >= minChunk && spare.length < maxSpare) spare.push(unused);
    this.#chunk = chunk;
    this.#isOwn = false;
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
    this.#compacted = Math.max(0, this.#compacted - count);
    return this.#full.splice(0, count);
  }

  /** Writes a whole frame. */
  frame(type: number, flags: number, streamId: number, payload: Uint8Array = empty): void {
    this.frameHeader(payload.length, type, flags, streamId);
    this.bytes(payload);
  }

  /** Writes a HEADERS frame, and CONTINUATION frames if the block exceeds a frame (RFC 9113 section 6.10). */
  headers(
    streamId: number,
    block: Buffer,
    how: { endStream: boolean; maxFrameSize: number },
  ): void {
    const { maxFrameSize } = how;
    const endStream = how.endStream ? Flag.END_STREAM : 0;
    // The usual case; creating a view would cost more than copying.
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

  /**
   * Writes a frame with a payload of four bytes: RST_STREAM with an error code, or WINDOW_UPDATE with an increment.
   */
  word(type: number, streamId: number, value: number): void {
    this.frameHeader(4, type, 0, streamId);
    this.#room(4);
    this.#filled = this.#chunk.writeUInt32BE(value, this.#filled);
  }

  /** Writes a frame header; the payload must follow with bytes(). */
  frameHeader(length: number, type: number, flags: number, streamId: number): void {
    this.#room(frameHeaderLength);
    const chunk = this.#chunk;
    chunk.writeUInt32BE(length * 256 + type, this.#filled);
    chunk.writeUInt8(flags, this.#filled + 4);
    this.#filled = chunk.writeUInt32BE(streamId, this.#filled + 5);
  }

  /** Writes a part of a payload. */
  bytes(bytes: Uint8Array): void {
    if (bytes.length > chunkSize / 2) {
      this.#pushFilled();
      const { buffer, byteOffset, length } = bytes;
      // A view keeps its whole buffer in memory, and a peer may leave the last frames of many large messages unread.
      const isMost = 2 * length >= buffer.byteLength;
      this.#push(isMost ? Buffer.from(buffer, byteOffset, length) : Buffer.from(bytes));
      return;
    }
    this.#room(bytes.length);
    this.#chunk.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  #room(bytes: number): void {
    if (this.#chunk.length - this.#filled >= bytes) return;
    if (this.#isOwn && this.#filled + bytes <= chunkSize) return this.#moveTo(this.#filled + bytes);
    this.#pushFilled();
    this.#isOwn = false;
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
