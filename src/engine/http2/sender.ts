import type { Account } from '../account.ts';
import { SendWindow } from './flow_control.ts';
import { Flag, FrameType, maxInt31, frameHeaderLength } from './frames.ts';
import { encodeTableSizeUpdate } from './hpack/encoder.ts';
import type { Http2Limits } from './limits.ts';
import type { PeerSettings } from './settings.ts';
import type { Stream } from './stream.ts';

/**
 * Begins the first header block of a connection: we never use the peer's dynamic table. A peer that
 * announces a smaller one waits for such a word (RFC 9113 section 4.3.1), and none can be smaller.
 */
const noTable = encodeTableSizeUpdate(0);

/** Beyond this many bytes DATA waits until the socket has taken what there is. */
const fullOutput = 128 * 1024;

/** The most that a DATA frame has, however much the peer takes in one: others have their turn between two. */
const longestData = 64 * 1024;

/** The last part of a response that may go before those that wait: less than the smallest MAX_FRAME_SIZE. */
const smallRest = 4096;

interface SenderDeps {
  peer: PeerSettings;
  limits: Http2Limits;
  account: Account;
  /** What the socket has taken and not sent, in bytes. */
  unsent: () => number;
  /** Told when the last frame of a response has been put out. */
  onEnded: (stream: Stream) => void;
}

/**
 * Everything that leaves: control frames and headers at once, DATA as the windows of stream and
 * connection allow (RFC 9113 section 5.2), a frame of each stream in turn.
 */
export class Sender {
  readonly output = new Output();
  readonly window: SendWindow;
  readonly #peer: PeerSettings;
  readonly #onEnded: (stream: Stream) => void;
  readonly #limits: Http2Limits;
  readonly #account: Account;
  readonly #unsent: () => number;
  /** Streams that have something to send and the window for it, in their turn. */
  readonly #line: Stream[] = [];
  /** How many HEADERS and DATA frames have been put out. */
  responseFrames = 0;
  #saidNoTable = false;
  #queuedCost = 0;
  #hasLeftOut = false;
  /** What the last GOAWAY said. */
  #lastServed = maxInt31;

  constructor({ peer, limits, account, unsent, onEnded }: SenderDeps) {
    this.#peer = peer;
    this.#limits = limits;
    this.#account = account;
    this.#unsent = unsent;
    this.#onEnded = onEnded;
    this.window = new SendWindow(65_535);
  }

  /** What DATA takes that waits for a window, or for room in the output. */
  get queuedCost(): number {
    return this.#queuedCost;
  }

  /** Whether DATA waits for nothing but room in the output. */
  get wantsToSend(): boolean {
    return this.#line.length > 0 && this.window.available > 0;
  }

  /** Whether a header block was not even put out, so that the connection cannot go on. */
  get hasLeftOut(): boolean {
    return this.#hasLeftOut;
  }

  /** Bytes that the peer has not read, as far as we can see. */
  get unreadBytes(): number {
    return this.output.length + this.#unsent();
  }

  /** Bytes that may wait for the peer, whatever all of them together have. */
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

  /** Sends a part of a body, or has it wait. False: that is enough for now. */
  send(stream: Stream, bytes: Uint8Array): boolean {
    // The connection ends with this turn: no DATA may come before HEADERS that were left out.
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

  /** What is small and the whole rest of a response need not stand in line: nothing could join it. */
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

  /** Puts a stream in line for what it has queued; where that is nothing, its end leaves at once. */
  queued(stream: Stream): void {
    if (this.#hasLeftOut) return;
    if (stream.queued === 0) {
      if (stream.isEnding) this.#end(stream);
    } else if (stream.sendWindow.available > 0 && stream.enterLine()) this.#line.push(stream);
  }

  /**
   * Sends those of a stream's parts that its windows and the output have room for as a whole, and drops the
   * others. False where the peer has got the half of one.
   */
  cutShort(stream: Stream): boolean {
    const room = Math.min(stream.sendWindow.available, this.window.available, this.#room / 2);
    let whole = stream.wholeParts(room);
    while (whole > 0) {
      const length = Math.min(whole, this.#mostData);
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

  /** Puts out as much DATA as windows and output have room for. */
  flush(): void {
    while (this.window.available > 0 && this.output.length < fullOutput) {
      const stream = this.#line.shift();
      if (!stream) return;
      stream.leaveLine();
      // SETTINGS may have closed its window since it came into the line (section 6.9.2).
      if (stream.sendWindow.available <= 0) continue;
      this.#sendFrame(stream);
      if (stream.queued > 0) this.queued(stream);
      if (stream.queuedCost < this.#limits.streamBufferSize / 2) stream.drained();
    }
  }

  #sendFrame(stream: Stream): void {
    const { sendWindow } = stream;
    const most = Math.min(sendWindow.available, this.window.available, this.#mostData);
    const length = Math.min(stream.queued, most);
    const last = length === stream.queued && stream.isEnding;
    const endStream = last && stream.trailers === undefined;
    this.#beginFrame(stream, length, endStream);
    this.#move(stream, length);
    if (endStream) this.#onEnded(stream);
    else if (last) this.#end(stream);
  }

  get #mostData(): number {
    return Math.min(this.#peer.maxFrameSize, longestData);
  }

  /** The header of a DATA frame, and what the windows lose by it. */
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

  /** Of the last streams that it is given it says the lowest so far: a peer may have sent the others again. */
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
      const { buffer, byteOffset, length } = bytes;
      // A view keeps the whole buffer: a peer may leave the last frame of many large messages unread.
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
