import type { ByteBudget } from '../byte_budget.ts';
import { type ConnectionError, ErrorCode, lowerCase, StreamError } from './errors.ts';
import { ReceiveWindow } from './flow_control.ts';
import type { Incident } from './incident.ts';
import type { Http2Limits } from './limits.ts';
import type { OpenCount } from '../open_count.ts';
import { cost, type Flow } from '../scheduler.ts';
import type { Sender } from './sender.ts';
import type { Stream, StreamOwner } from './stream.ts';
import { StreamTable } from './stream_table.ts';

interface OpenStreamsDeps {
  limits: Http2Limits;
  budget: ByteBudget;
  openCount: OpenCount;
  flow: Flow;
  sender: Sender;
  wake: (grown?: number) => void;
  report: (incident: Incident) => void;
}

/** The streams of a connection: what they may do to it, and everything that ends one. */
export class OpenStreams implements StreamOwner {
  readonly table = new StreamTable();
  readonly flow: Flow;
  readonly #receiveWindow: ReceiveWindow;
  readonly #budget: ByteBudget;
  readonly #openCount: OpenCount;
  readonly #sender: Sender;
  readonly #wake: (grown?: number) => void;
  readonly #report: (incident: Incident) => void;
  /** How many responses are complete. */
  completed = 0;
  #unconsumed = 0;
  #kept = 0;
  #own = 0;

  constructor({ limits, budget, openCount, flow, sender, wake, report }: OpenStreamsDeps) {
    this.#receiveWindow = new ReceiveWindow(limits.connectionWindowSize);
    this.#budget = budget;
    this.#openCount = openCount;
    this.flow = flow;
    this.#sender = sender;
    this.#wake = wake;
    this.#report = report;
  }

  /** Bytes of bodies: of requests those that are not consumed or still kept, of responses those not sent. */
  get bodyBytes(): number {
    return this.#unconsumed + this.#kept + this.#sender.heldBytes;
  }

  /** The same, and the streams themselves with the header lists of their requests. */
  get heldBytes(): number {
    return this.bodyBytes + this.#own;
  }

  /** Whether the server has so much to do that it had better not even refuse calls one by one. */
  get isFlooded(): boolean {
    return this.#openCount.isFull || this.#budget.isFarExceeded;
  }

  open(stream: Stream): void {
    this.table.add(stream);
    this.#openCount.value++;
    this.flow.spend(cost.stream);
    this.#own += stream.ownSize;
    // At once: a thousand may be opened before this is counted anew.
    this.#wake(stream.ownSize);
  }

  /** Opens no stream for a request: its client may send it again (RFC 9113 section 8.7). */
  refuse(streamId: number, message: string): void {
    this.flow.spend(cost.reset);
    this.#report({ reason: 'rst_stream_refused_stream', message });
    this.#sendReset(streamId, ErrorCode.REFUSED_STREAM);
  }

  sendHeaders(stream: Stream, block: Buffer, endStream: boolean): void {
    const grown = this.#sender.headers(stream, block, endStream);
    this.#wake(grown);
  }

  hold(stream: Stream, bytes: Uint8Array): boolean {
    const goOn = this.#sender.hold(stream, bytes);
    this.#wake(bytes.length);
    return goOn && this.#budget.excess === 0;
  }

  endHeld(stream: Stream): void {
    this.#sender.held(stream);
    this.#wake();
  }

  abandon(stream: Stream): void {
    if (this.#sender.cutShort(stream)) this.#sender.held(stream);
    else this.reset(stream, ErrorCode.CANCEL);
    this.#wake();
  }

  keep(bytes: number): void {
    this.#kept += bytes;
    this.#wake(bytes);
  }

  claim(bytes: number): void {
    this.#own += bytes;
    this.#wake(bytes);
  }

  /**
   * Takes DATA of whichever stream, and gives the connection's window back at once. False where the peer
   * sends more than it may.
   */
  receive(bytes: number): boolean {
    if (!this.#receiveWindow.take(bytes)) return false;
    this.#sender.windowUpdate(0, this.#receiveWindow.consume(bytes));
    return true;
  }

  /** Counts DATA that a stream has got and not consumed. */
  holdRequest(stream: Stream, bytes: number): void {
    stream.unconsumed += bytes;
    this.#unconsumed += bytes;
  }

  giveBack(stream: Stream, bytes: number): void {
    this.#unconsumed -= bytes;
    if (!stream.remoteEnded) {
      this.#sender.windowUpdate(stream.id, stream.receiveWindow.consume(bytes));
    }
    this.#wake();
  }

  reset(stream: Stream, code: number): void {
    this.#sendReset(stream.id, code);
    this.#remove(stream);
    this.#wake();
  }

  /** Ends a stream with RST_STREAM, if it is open still, and tells whoever serves it. */
  fail(error: StreamError): void {
    const { streamId, code } = error;
    const stream = this.table.get(streamId);
    this.#report({ reason: `rst_stream_${lowerCase(error.codeName)}`, message: error.message });
    if (stream) {
      this.reset(stream, code);
      stream.events?.failed(error);
    } else this.#sendReset(streamId, code);
  }

  forget(stream: Stream): void {
    this.#remove(stream);
  }

  /** A response that is whole before its request: the rest of it is of no use (section 8.1). */
  onResponseEnded(stream: Stream): void {
    this.completed++;
    if (stream.remoteEnded) this.#remove(stream);
    else this.reset(stream, ErrorCode.NO_ERROR);
    stream.events?.sent();
  }

  /** Gives up streams that hold the most, until so many bytes are free. */
  shed(bytes: number): void {
    const enough = this.heldBytes - bytes;
    for (const stream of this.table.largest()) {
      if (this.heldBytes <= enough) return;
      this.fail(
        new StreamError(stream.id, 'ENHANCE_YOUR_CALM', 'Cannot hold so much for one call'),
      );
    }
  }

  /** Has all of them ended, each in the words of whoever serves it. */
  expire(): void {
    for (const stream of this.table.all()) stream.events?.expire();
  }

  /** Ends all of them: the connection is over, and with an error where that was for us to say. */
  end(error: ConnectionError | undefined): void {
    const streams = this.table.all();
    for (const stream of streams) this.#remove(stream);
    this.#tell(streams, error);
  }

  /** Tells whoever serves them, a few in each turn: a thousand calls take a while to end. */
  #tell(streams: Stream[], error: ConnectionError | undefined): void {
    for (let stream = streams.pop(); stream; stream = streams.pop()) {
      if (error) stream.events?.failed(error);
      else stream.events?.reset(ErrorCode.CANCEL);
      this.flow.spend(cost.reset);
      if (streams.length === 0 || !this.flow.isSpent) continue;
      return this.flow.wait(() => this.#tell(streams, error));
    }
  }

  #sendReset(streamId: number, code: number): void {
    this.#sender.reset(streamId, code);
    this.table.rememberReset(streamId);
  }

  #remove(stream: Stream): void {
    this.#sender.drop(stream);
    this.#kept -= stream.kept;
    this.#own -= stream.ownSize;
    this.#unconsumed -= stream.unconsumed;
    this.#openCount.value--;
    this.table.remove(stream);
  }
}
