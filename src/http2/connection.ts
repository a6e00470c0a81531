import { ConnectionError, ErrorCode } from './errors.ts';
import { ReceiveWindow } from './flow_control.ts';
import { FrameType, maxInt31 } from './frame.ts';
import { FrameReader } from './frame_reader.ts';
import { Inbound } from './inbound.ts';
import type { Http2Limits } from './limits.ts';
import { Sender } from './sender.ts';
import { defaultPeerSettings, encodeSettings, SettingId } from './settings.ts';
import type { Serve, Stream, StreamOwner } from './stream.ts';
import { StreamTable } from './stream_table.ts';

/** What a connection is made with. */
export interface ConnectionDeps {
  limits: Http2Limits;
  serve: Serve;
  /** Called when there is something to write. */
  wake: () => void;
  /** Milliseconds. */
  now: () => number;
}

/** The payload of the PING whose answer says that our first GOAWAY has arrived. */
const goAwayPing = Buffer.from('goingout', 'latin1');

/**
 * The server's side of one HTTP/2 connection (RFC 9113), without a socket: bytes go in by receive(),
 * and come out by take().
 */
export class Connection implements StreamOwner {
  readonly #limits: Http2Limits;
  readonly #wake: () => void;
  readonly #streams = new StreamTable();
  readonly #receiveWindow: ReceiveWindow;
  readonly #sender: Sender;
  readonly #reader: FrameReader;
  #state: 'open' | 'leaving' | 'left' | 'failed' = 'open';

  constructor({ limits, serve, wake, now }: ConnectionDeps) {
    const peer = defaultPeerSettings();
    this.#limits = limits;
    this.#wake = wake;
    this.#receiveWindow = new ReceiveWindow(limits.connectionWindowSize);
    this.#sender = new Sender(peer, (stream) => this.#onResponseEnded(stream));
    const inbound = new Inbound({
      limits,
      serve,
      now,
      peer,
      owner: this,
      streams: this.#streams,
      sender: this.#sender,
      receiveWindow: this.#receiveWindow,
      onPingAnswer: (payload) => payload.equals(goAwayPing) && this.finishShutdown(),
      acceptsStreams: () => this.#state !== 'left',
    });
    this.#reader = new FrameReader((frame) => inbound.onFrame(frame));
    this.#greet();
  }

  /** How many streams are open. */
  get openStreams(): number {
    return this.#streams.size;
  }

  /** Whether the client has said that it speaks HTTP/2. */
  get hasPreface(): boolean {
    return this.#reader.hasPreface;
  }

  /** Whether nothing will come out any more, once what there is has been taken. */
  get isOver(): boolean {
    return this.#state === 'failed' || (this.#state === 'left' && this.#streams.size === 0);
  }

  /** Whether take() has something to give, if there is room for it. */
  get wantsToSend(): boolean {
    return this.#sender.output.length > 0 || this.#sender.wantsToSend;
  }

  /** Takes what the socket has read. */
  receive(chunk: Buffer): void {
    if (this.#state === 'failed') return;
    try {
      this.#reader.read(chunk);
      if (this.#sender.output.length > this.#limits.maxUnreadBytes) {
        throw new ConnectionError('ENHANCE_YOUR_CALM', 'Cannot answer a peer that does not read');
      }
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.fail(error.code, error.message);
    }
  }

  /** Gives what is to be written; without `room`, no more of what can wait. */
  take({ room }: { room: boolean }): Buffer[] {
    if (room && this.#state !== 'failed') this.#sender.flush();
    return this.#sender.output.take();
  }

  /** Asks the peer whether it is still there; any frame says yes. */
  ping(): void {
    this.#sender.output.frame(FrameType.PING, 0, 0, Buffer.alloc(8));
    this.#wake();
  }

  /**
   * Leaves without losing a request that is on its way (RFC 9113 section 6.8): says that it leaves,
   * and once the peer has heard it, which streams were the last.
   */
  shutdown(): void {
    if (this.#state !== 'open') return;
    this.#state = 'leaving';
    this.#sender.goAway(maxInt31, ErrorCode.NO_ERROR);
    this.#sender.output.frame(FrameType.PING, 0, 0, goAwayPing);
    this.#wake();
  }

  /** The second half of shutdown(), for a peer that does not answer the PING. */
  finishShutdown(): void {
    if (this.#state !== 'leaving') return;
    this.#state = 'left';
    this.#sender.goAway(this.#streams.lastId, ErrorCode.NO_ERROR);
    this.#wake();
  }

  /** Ends the connection with an error (RFC 9113 section 5.4.1); the message goes to the peer. */
  fail(code: number, message: string): void {
    if (this.#state === 'failed') return;
    this.#sender.goAway(this.#streams.lastId, code, message);
    this.lost();
    this.#wake();
  }

  /** The socket is closed: what is open ends here. */
  lost(): void {
    this.#state = 'failed';
    for (const stream of this.#streams.all()) {
      this.#remove(stream);
      stream.events?.reset(ErrorCode.CANCEL);
    }
  }

  sendHeaders(stream: Stream, block: Buffer, endStream: boolean): void {
    this.#sender.headers(stream, block, endStream);
    this.#wake();
  }

  sendHeld(stream: Stream): void {
    this.#sender.held(stream);
    this.#wake();
  }

  giveBack(stream: Stream | undefined, bytes: number): void {
    this.#sender.windowUpdate(0, this.#receiveWindow.consume(bytes));
    if (stream && !stream.remoteEnded) {
      this.#sender.windowUpdate(stream.id, stream.receiveWindow.consume(bytes));
    }
    this.#wake();
  }

  reset(stream: Stream, code: number): void {
    this.#sender.reset(stream.id, code);
    this.#streams.rememberReset(stream.id);
    this.#remove(stream);
    this.#wake();
  }

  forget(stream: Stream): void {
    this.#remove(stream);
  }

  /** A response that is whole before its request: the rest of it is of no use (section 8.1). */
  #onResponseEnded(stream: Stream): void {
    if (stream.remoteEnded) this.#remove(stream);
    else this.reset(stream, ErrorCode.NO_ERROR);
  }

  #remove(stream: Stream): void {
    this.#sender.drop(stream);
    this.#streams.remove(stream);
    // Nobody will: the other streams need the room.
    if (stream.unconsumed > 0) this.giveBack(undefined, stream.unconsumed);
  }

  #greet(): void {
    const { maxConcurrentStreams, maxHeaderListSize, streamWindowSize } = this.#limits;
    const settings = encodeSettings([
      [SettingId.MAX_CONCURRENT_STREAMS, maxConcurrentStreams],
      [SettingId.INITIAL_WINDOW_SIZE, streamWindowSize],
      [SettingId.MAX_HEADER_LIST_SIZE, maxHeaderListSize],
    ]);
    this.#sender.output.frame(FrameType.SETTINGS, 0, 0, settings);
    this.#sender.windowUpdate(0, this.#limits.connectionWindowSize - 65_535);
  }
}
