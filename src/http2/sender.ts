import { SendWindow } from './flow_control.ts';
import { Flag, FrameType } from './frame.ts';
import { encodeTableSizeUpdate } from './hpack/encoder.ts';
import { Output } from './output.ts';
import type { PeerSettings } from './settings.ts';
import type { Stream } from './stream.ts';

/**
 * Begins the first header block of a connection: we never use the peer's dynamic table. A peer that
 * announces a smaller one waits for such a word (RFC 9113 section 4.3.1), and none can be smaller.
 */
const noTable = encodeTableSizeUpdate(0);

/** Beyond this many bytes DATA waits until the socket has taken what there is. */
const fullOutput = 128 * 1024;

/**
 * Everything that leaves: control frames and headers at once, DATA as the windows of stream and
 * connection allow (RFC 9113 section 5.2), a frame of each stream in turn.
 */
export class Sender {
  readonly output = new Output();
  readonly window: SendWindow;
  readonly #peer: PeerSettings;
  readonly #onEnded: (stream: Stream) => void;
  /** Streams that have something to send and the window for it. A Set keeps their order. */
  readonly #ready = new Set<Stream>();
  #saidNoTable = false;

  /** `onEnded` is told when the last frame of a response has been put out. */
  constructor(peer: PeerSettings, onEnded: (stream: Stream) => void) {
    this.#peer = peer;
    this.#onEnded = onEnded;
    this.window = new SendWindow(65_535);
  }

  /** Whether DATA waits for nothing but room in the output. */
  get wantsToSend(): boolean {
    return this.#ready.size > 0 && this.window.available > 0;
  }

  headers(stream: Stream, block: Buffer, endStream: boolean): void {
    const { maxFrameSize } = this.#peer;
    const whole = this.#saidNoTable ? block : Buffer.concat([noTable, block]);
    this.#saidNoTable = true;
    this.output.headers(stream.id, whole, { endStream, maxFrameSize });
    if (endStream) this.#onEnded(stream);
  }

  /** Puts a stream in line for what it holds; where it holds nothing, its end leaves at once. */
  held(stream: Stream): void {
    if (stream.heldLength === 0) {
      if (stream.localEnded) this.#end(stream);
    } else if (stream.sendWindow.available > 0) {
      this.#ready.add(stream);
    }
  }

  drop(stream: Stream): void {
    this.#ready.delete(stream);
    stream.held = [];
    stream.heldLength = 0;
  }

  /** Puts out as much DATA as windows and output have room for. */
  flush(): void {
    for (const stream of this.#ready) {
      if (this.window.available <= 0 || this.output.length >= fullOutput) return;
      // To the end of the line, where the iteration comes by again.
      this.#ready.delete(stream);
      // SETTINGS may have closed its window since it came into the line (section 6.9.2).
      if (stream.sendWindow.available <= 0) continue;
      this.#sendFrame(stream);
      if (stream.heldLength > 0 && stream.sendWindow.available > 0) this.#ready.add(stream);
      stream.sent();
    }
  }

  #sendFrame(stream: Stream): void {
    const { sendWindow } = stream;
    const most = Math.min(sendWindow.available, this.window.available, this.#peer.maxFrameSize);
    const length = Math.min(stream.heldLength, most);
    const last = length === stream.heldLength && stream.localEnded;
    const endStream = last && stream.trailers === undefined;
    this.output.frameHeader(length, FrameType.DATA, endStream ? Flag.END_STREAM : 0, stream.id);
    this.#takeHeld(stream, length);
    sendWindow.available -= length;
    this.window.available -= length;
    if (endStream) this.#onEnded(stream);
    else if (last) this.#end(stream);
  }

  #takeHeld(stream: Stream, length: number): void {
    let left = length;
    let taken = 0;
    for (const part of stream.held) {
      if (left === 0) break;
      if (part.length > left) {
        this.output.bytes(part.subarray(0, left));
        stream.held[taken] = part.subarray(left);
        break;
      }
      this.output.bytes(part);
      left -= part.length;
      taken++;
    }
    stream.held.splice(0, taken);
    stream.heldLength -= length;
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

  goAway(lastStreamId: number, code: number, debug = ''): void {
    const payload = Buffer.alloc(8 + debug.length);
    payload.writeUInt32BE(lastStreamId);
    payload.writeUInt32BE(code, 4);
    payload.write(debug, 8, 'latin1');
    this.output.frame(FrameType.GOAWAY, 0, 0, payload);
  }
}
